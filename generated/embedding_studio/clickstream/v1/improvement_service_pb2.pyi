import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ImprovementState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IMPROVEMENT_STATE_UNSPECIFIED: _ClassVar[ImprovementState]
    IMPROVEMENT_STATE_PENDING: _ClassVar[ImprovementState]
    IMPROVEMENT_STATE_PROCESSING: _ClassVar[ImprovementState]
    IMPROVEMENT_STATE_DONE: _ClassVar[ImprovementState]
    IMPROVEMENT_STATE_FAILED: _ClassVar[ImprovementState]
    IMPROVEMENT_STATE_REFUSED: _ClassVar[ImprovementState]
    IMPROVEMENT_STATE_CANCELED: _ClassVar[ImprovementState]
IMPROVEMENT_STATE_UNSPECIFIED: ImprovementState
IMPROVEMENT_STATE_PENDING: ImprovementState
IMPROVEMENT_STATE_PROCESSING: ImprovementState
IMPROVEMENT_STATE_DONE: ImprovementState
IMPROVEMENT_STATE_FAILED: ImprovementState
IMPROVEMENT_STATE_REFUSED: ImprovementState
IMPROVEMENT_STATE_CANCELED: ImprovementState

class ImprovementTask(_message.Message):
    __slots__ = ("session_id", "batch_id", "session_number", "state", "reason", "queued_at", "updated_at", "not_before", "attempts", "run_id", "model_version_id", "lease_owner", "lease_ends_at")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    QUEUED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_OWNER_FIELD_NUMBER: _ClassVar[int]
    LEASE_ENDS_AT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    batch_id: str
    session_number: int
    state: ImprovementState
    reason: str
    queued_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    not_before: _timestamp_pb2.Timestamp
    attempts: int
    run_id: str
    model_version_id: str
    lease_owner: str
    lease_ends_at: _timestamp_pb2.Timestamp
    def __init__(self, session_id: _Optional[str] = ..., batch_id: _Optional[str] = ..., session_number: _Optional[int] = ..., state: _Optional[_Union[ImprovementState, str]] = ..., reason: _Optional[str] = ..., queued_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempts: _Optional[int] = ..., run_id: _Optional[str] = ..., model_version_id: _Optional[str] = ..., lease_owner: _Optional[str] = ..., lease_ends_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class UseSessionForImprovementRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class UseSessionForImprovementResponse(_message.Message):
    __slots__ = ("task", "created")
    TASK_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    task: ImprovementTask
    created: bool
    def __init__(self, task: _Optional[_Union[ImprovementTask, _Mapping]] = ..., created: bool = ...) -> None: ...

class GetImprovementTaskRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class GetImprovementTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: ImprovementTask
    def __init__(self, task: _Optional[_Union[ImprovementTask, _Mapping]] = ...) -> None: ...

class ListImprovementTasksRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "states", "run_id", "include_summary")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SUMMARY_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[ImprovementState]
    run_id: str
    include_summary: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[ImprovementState, str]]] = ..., run_id: _Optional[str] = ..., include_summary: bool = ...) -> None: ...

class ListImprovementTasksResponse(_message.Message):
    __slots__ = ("tasks", "next_page_token", "summary")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[ImprovementTask]
    next_page_token: str
    summary: ImprovementSummary
    def __init__(self, tasks: _Optional[_Iterable[_Union[ImprovementTask, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., summary: _Optional[_Union[ImprovementSummary, _Mapping]] = ...) -> None: ...

class ImprovementSummary(_message.Message):
    __slots__ = ("counts", "open_run_id", "held_out_queries", "training_queries", "shortage")
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    OPEN_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    HELD_OUT_QUERIES_FIELD_NUMBER: _ClassVar[int]
    TRAINING_QUERIES_FIELD_NUMBER: _ClassVar[int]
    SHORTAGE_FIELD_NUMBER: _ClassVar[int]
    counts: _containers.RepeatedCompositeFieldContainer[ImprovementStateCount]
    open_run_id: str
    held_out_queries: int
    training_queries: int
    shortage: str
    def __init__(self, counts: _Optional[_Iterable[_Union[ImprovementStateCount, _Mapping]]] = ..., open_run_id: _Optional[str] = ..., held_out_queries: _Optional[int] = ..., training_queries: _Optional[int] = ..., shortage: _Optional[str] = ...) -> None: ...

class ImprovementStateCount(_message.Message):
    __slots__ = ("state", "count")
    STATE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    state: ImprovementState
    count: int
    def __init__(self, state: _Optional[_Union[ImprovementState, str]] = ..., count: _Optional[int] = ...) -> None: ...

class CancelImprovementTaskRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class CancelImprovementTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: ImprovementTask
    def __init__(self, task: _Optional[_Union[ImprovementTask, _Mapping]] = ...) -> None: ...

class RetryImprovementTaskRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class RetryImprovementTaskResponse(_message.Message):
    __slots__ = ("task", "retried")
    TASK_FIELD_NUMBER: _ClassVar[int]
    RETRIED_FIELD_NUMBER: _ClassVar[int]
    task: ImprovementTask
    retried: bool
    def __init__(self, task: _Optional[_Union[ImprovementTask, _Mapping]] = ..., retried: bool = ...) -> None: ...
