import datetime

from embedding_studio.clickstream.v1 import session_pb2 as _session_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BatchStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BATCH_STATUS_UNSPECIFIED: _ClassVar[BatchStatus]
    BATCH_STATUS_COLLECTING: _ClassVar[BatchStatus]
    BATCH_STATUS_RELEASED: _ClassVar[BatchStatus]
    BATCH_STATUS_TRAINING: _ClassVar[BatchStatus]
    BATCH_STATUS_TRAINED: _ClassVar[BatchStatus]
    BATCH_STATUS_FAILED: _ClassVar[BatchStatus]
    BATCH_STATUS_ARCHIVED: _ClassVar[BatchStatus]
BATCH_STATUS_UNSPECIFIED: BatchStatus
BATCH_STATUS_COLLECTING: BatchStatus
BATCH_STATUS_RELEASED: BatchStatus
BATCH_STATUS_TRAINING: BatchStatus
BATCH_STATUS_TRAINED: BatchStatus
BATCH_STATUS_FAILED: BatchStatus
BATCH_STATUS_ARCHIVED: BatchStatus

class Batch(_message.Message):
    __slots__ = ("batch_id", "status", "session_count", "opened_at", "released_at", "release_id", "run_id", "history")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SESSION_COUNT_FIELD_NUMBER: _ClassVar[int]
    OPENED_AT_FIELD_NUMBER: _ClassVar[int]
    RELEASED_AT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    status: BatchStatus
    session_count: int
    opened_at: _timestamp_pb2.Timestamp
    released_at: _timestamp_pb2.Timestamp
    release_id: str
    run_id: str
    history: _containers.RepeatedCompositeFieldContainer[BatchStatusChange]
    def __init__(self, batch_id: _Optional[str] = ..., status: _Optional[_Union[BatchStatus, str]] = ..., session_count: _Optional[int] = ..., opened_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., released_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., release_id: _Optional[str] = ..., run_id: _Optional[str] = ..., history: _Optional[_Iterable[_Union[BatchStatusChange, _Mapping]]] = ...) -> None: ...

class BatchStatusChange(_message.Message):
    __slots__ = ("status", "at", "reason")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    status: BatchStatus
    at: _timestamp_pb2.Timestamp
    reason: str
    def __init__(self, status: _Optional[_Union[BatchStatus, str]] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class GetBatchSessionsRequest(_message.Message):
    __slots__ = ("batch_id", "page_size", "page_token", "after_number", "include_irrelevant", "events_limit")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    AFTER_NUMBER_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_IRRELEVANT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_LIMIT_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    page_size: int
    page_token: str
    after_number: int
    include_irrelevant: bool
    events_limit: int
    def __init__(self, batch_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., after_number: _Optional[int] = ..., include_irrelevant: bool = ..., events_limit: _Optional[int] = ...) -> None: ...

class GetBatchSessionsResponse(_message.Message):
    __slots__ = ("sessions", "batch_id", "next_page_token", "next_after_number")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NEXT_AFTER_NUMBER_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[_session_pb2.StoredSession]
    batch_id: str
    next_page_token: str
    next_after_number: int
    def __init__(self, sessions: _Optional[_Iterable[_Union[_session_pb2.StoredSession, _Mapping]]] = ..., batch_id: _Optional[str] = ..., next_page_token: _Optional[str] = ..., next_after_number: _Optional[int] = ...) -> None: ...

class StreamBatchSessionsRequest(_message.Message):
    __slots__ = ("batch_id", "after_number", "include_irrelevant", "events_limit")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_NUMBER_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_IRRELEVANT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_LIMIT_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    after_number: int
    include_irrelevant: bool
    events_limit: int
    def __init__(self, batch_id: _Optional[str] = ..., after_number: _Optional[int] = ..., include_irrelevant: bool = ..., events_limit: _Optional[int] = ...) -> None: ...

class StreamBatchSessionsResponse(_message.Message):
    __slots__ = ("stored_session",)
    STORED_SESSION_FIELD_NUMBER: _ClassVar[int]
    stored_session: _session_pb2.StoredSession
    def __init__(self, stored_session: _Optional[_Union[_session_pb2.StoredSession, _Mapping]] = ...) -> None: ...

class ReleaseBatchRequest(_message.Message):
    __slots__ = ("release_id", "batch_id")
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    batch_id: str
    def __init__(self, release_id: _Optional[str] = ..., batch_id: _Optional[str] = ...) -> None: ...

class ReleaseBatchResponse(_message.Message):
    __slots__ = ("batch",)
    BATCH_FIELD_NUMBER: _ClassVar[int]
    batch: Batch
    def __init__(self, batch: _Optional[_Union[Batch, _Mapping]] = ...) -> None: ...

class GetBatchRequest(_message.Message):
    __slots__ = ("batch_id",)
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    def __init__(self, batch_id: _Optional[str] = ...) -> None: ...

class GetBatchResponse(_message.Message):
    __slots__ = ("batch",)
    BATCH_FIELD_NUMBER: _ClassVar[int]
    batch: Batch
    def __init__(self, batch: _Optional[_Union[Batch, _Mapping]] = ...) -> None: ...

class ListBatchesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "statuses")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    statuses: _containers.RepeatedScalarFieldContainer[BatchStatus]
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., statuses: _Optional[_Iterable[_Union[BatchStatus, str]]] = ...) -> None: ...

class ListBatchesResponse(_message.Message):
    __slots__ = ("batches", "next_page_token")
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    batches: _containers.RepeatedCompositeFieldContainer[Batch]
    next_page_token: str
    def __init__(self, batches: _Optional[_Iterable[_Union[Batch, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
