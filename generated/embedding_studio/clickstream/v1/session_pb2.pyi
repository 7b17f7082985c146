import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ScoreKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCORE_KIND_UNSPECIFIED: _ClassVar[ScoreKind]
    SCORE_KIND_SIMILARITY: _ClassVar[ScoreKind]
    SCORE_KIND_DISTANCE: _ClassVar[ScoreKind]

class ResultKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESULT_KIND_UNSPECIFIED: _ClassVar[ResultKind]
    RESULT_KIND_IMAGE: _ClassVar[ResultKind]
    RESULT_KIND_OTHER: _ClassVar[ResultKind]
SCORE_KIND_UNSPECIFIED: ScoreKind
SCORE_KIND_SIMILARITY: ScoreKind
SCORE_KIND_DISTANCE: ScoreKind
RESULT_KIND_UNSPECIFIED: ResultKind
RESULT_KIND_IMAGE: ResultKind
RESULT_KIND_OTHER: ResultKind

class Session(_message.Message):
    __slots__ = ("session_id", "query", "results", "score_kind", "context", "user_id", "created_at", "payload_search", "filter", "sort", "page", "client", "user_agent")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    SCORE_KIND_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_SEARCH_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    SORT_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    query: str
    results: _containers.RepeatedCompositeFieldContainer[Result]
    score_kind: ScoreKind
    context: _struct_pb2.Struct
    user_id: str
    created_at: _timestamp_pb2.Timestamp
    payload_search: bool
    filter: _struct_pb2.Struct
    sort: str
    page: Page
    client: Client
    user_agent: str
    def __init__(self, session_id: _Optional[str] = ..., query: _Optional[str] = ..., results: _Optional[_Iterable[_Union[Result, _Mapping]]] = ..., score_kind: _Optional[_Union[ScoreKind, str]] = ..., context: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., user_id: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., payload_search: bool = ..., filter: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., sort: _Optional[str] = ..., page: _Optional[_Union[Page, _Mapping]] = ..., client: _Optional[_Union[Client, _Mapping]] = ..., user_agent: _Optional[str] = ...) -> None: ...

class Page(_message.Message):
    __slots__ = ("offset", "size")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    offset: int
    size: int
    def __init__(self, offset: _Optional[int] = ..., size: _Optional[int] = ...) -> None: ...

class Client(_message.Message):
    __slots__ = ("name", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("object_id", "position", "score", "meta", "kind")
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    object_id: str
    position: int
    score: float
    meta: _struct_pb2.Struct
    kind: ResultKind
    def __init__(self, object_id: _Optional[str] = ..., position: _Optional[int] = ..., score: _Optional[float] = ..., meta: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., kind: _Optional[_Union[ResultKind, str]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("event_id", "object_id", "type", "created_at", "meta")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    object_id: str
    type: str
    created_at: _timestamp_pb2.Timestamp
    meta: _struct_pb2.Struct
    def __init__(self, event_id: _Optional[str] = ..., object_id: _Optional[str] = ..., type: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., meta: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class StoredSession(_message.Message):
    __slots__ = ("session", "batch_id", "session_number", "irrelevant", "irrelevant_at", "events", "omitted_events", "erased")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    IRRELEVANT_FIELD_NUMBER: _ClassVar[int]
    IRRELEVANT_AT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    OMITTED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    ERASED_FIELD_NUMBER: _ClassVar[int]
    session: Session
    batch_id: str
    session_number: int
    irrelevant: bool
    irrelevant_at: _timestamp_pb2.Timestamp
    events: _containers.RepeatedCompositeFieldContainer[Event]
    omitted_events: int
    erased: bool
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ..., batch_id: _Optional[str] = ..., session_number: _Optional[int] = ..., irrelevant: bool = ..., irrelevant_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., omitted_events: _Optional[int] = ..., erased: bool = ...) -> None: ...
