import datetime

from embedding_studio.clickstream.v1 import error_reason_pb2 as _error_reason_pb2
from embedding_studio.clickstream.v1 import session_pb2 as _session_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateSessionRequest(_message.Message):
    __slots__ = ("session", "historical")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    HISTORICAL_FIELD_NUMBER: _ClassVar[int]
    session: _session_pb2.Session
    historical: bool
    def __init__(self, session: _Optional[_Union[_session_pb2.Session, _Mapping]] = ..., historical: bool = ...) -> None: ...

class CreateSessionResponse(_message.Message):
    __slots__ = ("batch_id", "session_number", "created_at", "created")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    session_number: int
    created_at: _timestamp_pb2.Timestamp
    created: bool
    def __init__(self, batch_id: _Optional[str] = ..., session_number: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created: bool = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class GetSessionResponse(_message.Message):
    __slots__ = ("stored_session",)
    STORED_SESSION_FIELD_NUMBER: _ClassVar[int]
    stored_session: _session_pb2.StoredSession
    def __init__(self, stored_session: _Optional[_Union[_session_pb2.StoredSession, _Mapping]] = ...) -> None: ...

class PushEventsRequest(_message.Message):
    __slots__ = ("session_id", "events", "historical")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    HISTORICAL_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    events: _containers.RepeatedCompositeFieldContainer[_session_pb2.Event]
    historical: bool
    def __init__(self, session_id: _Optional[str] = ..., events: _Optional[_Iterable[_Union[_session_pb2.Event, _Mapping]]] = ..., historical: bool = ...) -> None: ...

class PushEventsResponse(_message.Message):
    __slots__ = ("outcomes", "accepted_count", "duplicate_count", "conflict_count", "rejected_count")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_COUNT_FIELD_NUMBER: _ClassVar[int]
    REJECTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[EventOutcome]
    accepted_count: int
    duplicate_count: int
    conflict_count: int
    rejected_count: int
    def __init__(self, outcomes: _Optional[_Iterable[_Union[EventOutcome, _Mapping]]] = ..., accepted_count: _Optional[int] = ..., duplicate_count: _Optional[int] = ..., conflict_count: _Optional[int] = ..., rejected_count: _Optional[int] = ...) -> None: ...

class EventOutcome(_message.Message):
    __slots__ = ("code", "field", "reason", "description")
    class Code(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CODE_UNSPECIFIED: _ClassVar[EventOutcome.Code]
        CODE_ACCEPTED: _ClassVar[EventOutcome.Code]
        CODE_DUPLICATE: _ClassVar[EventOutcome.Code]
        CODE_CONFLICT: _ClassVar[EventOutcome.Code]
        CODE_REJECTED: _ClassVar[EventOutcome.Code]
    CODE_UNSPECIFIED: EventOutcome.Code
    CODE_ACCEPTED: EventOutcome.Code
    CODE_DUPLICATE: EventOutcome.Code
    CODE_CONFLICT: EventOutcome.Code
    CODE_REJECTED: EventOutcome.Code
    CODE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    code: EventOutcome.Code
    field: str
    reason: _error_reason_pb2.ErrorReason
    description: str
    def __init__(self, code: _Optional[_Union[EventOutcome.Code, str]] = ..., field: _Optional[str] = ..., reason: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ..., description: _Optional[str] = ...) -> None: ...

class IngestRequest(_message.Message):
    __slots__ = ("sequence", "session", "events", "historical")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    HISTORICAL_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    session: _session_pb2.Session
    events: EventList
    historical: bool
    def __init__(self, sequence: _Optional[int] = ..., session: _Optional[_Union[_session_pb2.Session, _Mapping]] = ..., events: _Optional[_Union[EventList, _Mapping]] = ..., historical: bool = ...) -> None: ...

class EventList(_message.Message):
    __slots__ = ("session_id", "events")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    events: _containers.RepeatedCompositeFieldContainer[_session_pb2.Event]
    def __init__(self, session_id: _Optional[str] = ..., events: _Optional[_Iterable[_Union[_session_pb2.Event, _Mapping]]] = ...) -> None: ...

class IngestResponse(_message.Message):
    __slots__ = ("sequence", "session", "events", "failure")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    session: IngestedSession
    events: IngestedEvents
    failure: IngestFailure
    def __init__(self, sequence: _Optional[int] = ..., session: _Optional[_Union[IngestedSession, _Mapping]] = ..., events: _Optional[_Union[IngestedEvents, _Mapping]] = ..., failure: _Optional[_Union[IngestFailure, _Mapping]] = ...) -> None: ...

class IngestedSession(_message.Message):
    __slots__ = ("batch_id", "session_number", "created")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    session_number: int
    created: bool
    def __init__(self, batch_id: _Optional[str] = ..., session_number: _Optional[int] = ..., created: bool = ...) -> None: ...

class IngestedEvents(_message.Message):
    __slots__ = ("outcomes", "accepted_count", "duplicate_count", "conflict_count", "rejected_count")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_COUNT_FIELD_NUMBER: _ClassVar[int]
    REJECTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[EventOutcome]
    accepted_count: int
    duplicate_count: int
    conflict_count: int
    rejected_count: int
    def __init__(self, outcomes: _Optional[_Iterable[_Union[EventOutcome, _Mapping]]] = ..., accepted_count: _Optional[int] = ..., duplicate_count: _Optional[int] = ..., conflict_count: _Optional[int] = ..., rejected_count: _Optional[int] = ...) -> None: ...

class IngestFailure(_message.Message):
    __slots__ = ("reason", "field", "description", "violations")
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    reason: _error_reason_pb2.ErrorReason
    field: str
    description: str
    violations: _containers.RepeatedCompositeFieldContainer[IngestViolation]
    def __init__(self, reason: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ..., field: _Optional[str] = ..., description: _Optional[str] = ..., violations: _Optional[_Iterable[_Union[IngestViolation, _Mapping]]] = ...) -> None: ...

class IngestViolation(_message.Message):
    __slots__ = ("field", "reason", "description")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    field: str
    reason: _error_reason_pb2.ErrorReason
    description: str
    def __init__(self, field: _Optional[str] = ..., reason: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ..., description: _Optional[str] = ...) -> None: ...

class MarkSessionIrrelevantRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class MarkSessionIrrelevantResponse(_message.Message):
    __slots__ = ("stored_session",)
    STORED_SESSION_FIELD_NUMBER: _ClassVar[int]
    stored_session: _session_pb2.StoredSession
    def __init__(self, stored_session: _Optional[_Union[_session_pb2.StoredSession, _Mapping]] = ...) -> None: ...

class RestoreSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class RestoreSessionResponse(_message.Message):
    __slots__ = ("stored_session",)
    STORED_SESSION_FIELD_NUMBER: _ClassVar[int]
    stored_session: _session_pb2.StoredSession
    def __init__(self, stored_session: _Optional[_Union[_session_pb2.StoredSession, _Mapping]] = ...) -> None: ...
