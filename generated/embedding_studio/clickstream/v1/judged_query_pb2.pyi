from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JudgedQuery(_message.Message):
    __slots__ = ("query", "judgements")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    JUDGEMENTS_FIELD_NUMBER: _ClassVar[int]
    query: str
    judgements: _containers.RepeatedCompositeFieldContainer[Judgement]
    def __init__(self, query: _Optional[str] = ..., judgements: _Optional[_Iterable[_Union[Judgement, _Mapping]]] = ...) -> None: ...

class Judgement(_message.Message):
    __slots__ = ("object_id", "grade")
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    GRADE_FIELD_NUMBER: _ClassVar[int]
    object_id: str
    grade: int
    def __init__(self, object_id: _Optional[str] = ..., grade: _Optional[int] = ...) -> None: ...
