import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TrainingInput(_message.Message):
    __slots__ = ("session_id", "batch_id", "session_number", "query", "results", "policy_version", "searched_at")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    SEARCHED_AT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    batch_id: str
    session_number: int
    query: str
    results: _containers.RepeatedCompositeFieldContainer[GradedResult]
    policy_version: str
    searched_at: _timestamp_pb2.Timestamp
    def __init__(self, session_id: _Optional[str] = ..., batch_id: _Optional[str] = ..., session_number: _Optional[int] = ..., query: _Optional[str] = ..., results: _Optional[_Iterable[_Union[GradedResult, _Mapping]]] = ..., policy_version: _Optional[str] = ..., searched_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GradedResult(_message.Message):
    __slots__ = ("object_id", "position", "grade", "event_ids", "meta")
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    GRADE_FIELD_NUMBER: _ClassVar[int]
    EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    object_id: str
    position: int
    grade: float
    event_ids: _containers.RepeatedScalarFieldContainer[str]
    meta: _struct_pb2.Struct
    def __init__(self, object_id: _Optional[str] = ..., position: _Optional[int] = ..., grade: _Optional[float] = ..., event_ids: _Optional[_Iterable[str]] = ..., meta: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class ConversionSummary(_message.Message):
    __slots__ = ("session_count", "input_count", "skipped_sessions", "ignored_results", "graded_events", "ignored_events", "unknown_types", "policy_version", "robot_verdict_number")
    class SkippedSessionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class IgnoredResultsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class GradedEventsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class IgnoredEventsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class UnknownTypesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    SESSION_COUNT_FIELD_NUMBER: _ClassVar[int]
    INPUT_COUNT_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    IGNORED_RESULTS_FIELD_NUMBER: _ClassVar[int]
    GRADED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    IGNORED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_TYPES_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    ROBOT_VERDICT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    session_count: int
    input_count: int
    skipped_sessions: _containers.ScalarMap[str, int]
    ignored_results: _containers.ScalarMap[str, int]
    graded_events: _containers.ScalarMap[str, int]
    ignored_events: _containers.ScalarMap[str, int]
    unknown_types: _containers.ScalarMap[str, int]
    policy_version: str
    robot_verdict_number: int
    def __init__(self, session_count: _Optional[int] = ..., input_count: _Optional[int] = ..., skipped_sessions: _Optional[_Mapping[str, int]] = ..., ignored_results: _Optional[_Mapping[str, int]] = ..., graded_events: _Optional[_Mapping[str, int]] = ..., ignored_events: _Optional[_Mapping[str, int]] = ..., unknown_types: _Optional[_Mapping[str, int]] = ..., policy_version: _Optional[str] = ..., robot_verdict_number: _Optional[int] = ...) -> None: ...
