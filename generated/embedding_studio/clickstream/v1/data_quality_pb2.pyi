from embedding_studio.clickstream.v1 import figures_pb2 as _figures_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class QualityMark(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUALITY_MARK_UNSPECIFIED: _ClassVar[QualityMark]
    QUALITY_MARK_OK: _ClassVar[QualityMark]
    QUALITY_MARK_WARN: _ClassVar[QualityMark]
    QUALITY_MARK_FAIL: _ClassVar[QualityMark]
    QUALITY_MARK_SHOWN: _ClassVar[QualityMark]
QUALITY_MARK_UNSPECIFIED: QualityMark
QUALITY_MARK_OK: QualityMark
QUALITY_MARK_WARN: QualityMark
QUALITY_MARK_FAIL: QualityMark
QUALITY_MARK_SHOWN: QualityMark

class QualityCheck(_message.Message):
    __slots__ = ("id", "description", "rate", "value", "mark", "warn_mark", "fail_mark", "example_ids", "advice", "is_approximate")
    ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    WARN_MARK_FIELD_NUMBER: _ClassVar[int]
    FAIL_MARK_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_IDS_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    IS_APPROXIMATE_FIELD_NUMBER: _ClassVar[int]
    id: str
    description: str
    rate: _figures_pb2.Rate
    value: float
    mark: QualityMark
    warn_mark: float
    fail_mark: float
    example_ids: _containers.RepeatedScalarFieldContainer[str]
    advice: str
    is_approximate: bool
    def __init__(self, id: _Optional[str] = ..., description: _Optional[str] = ..., rate: _Optional[_Union[_figures_pb2.Rate, _Mapping]] = ..., value: _Optional[float] = ..., mark: _Optional[_Union[QualityMark, str]] = ..., warn_mark: _Optional[float] = ..., fail_mark: _Optional[float] = ..., example_ids: _Optional[_Iterable[str]] = ..., advice: _Optional[str] = ..., is_approximate: bool = ...) -> None: ...

class QualityStep(_message.Message):
    __slots__ = ("name", "is_reached", "missing")
    NAME_FIELD_NUMBER: _ClassVar[int]
    IS_REACHED_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    name: str
    is_reached: bool
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., is_reached: bool = ..., missing: _Optional[_Iterable[str]] = ...) -> None: ...

class QualityGroup(_message.Message):
    __slots__ = ("value", "searches", "checks")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SEARCHES_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    value: str
    searches: int
    checks: _containers.RepeatedCompositeFieldContainer[QualityCheck]
    def __init__(self, value: _Optional[str] = ..., searches: _Optional[int] = ..., checks: _Optional[_Iterable[_Union[QualityCheck, _Mapping]]] = ...) -> None: ...

class EventTypeCount(_message.Message):
    __slots__ = ("type", "count")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    type: str
    count: int
    def __init__(self, type: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class Refusals(_message.Message):
    __slots__ = ("reason", "client", "count")
    REASON_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    reason: str
    client: str
    count: int
    def __init__(self, reason: _Optional[str] = ..., client: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...
