import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TrainingProgress(_message.Message):
    __slots__ = ("phase", "input_count", "step", "step_count", "loss", "learning_rate", "queries_per_second", "remaining_seconds", "metrics", "waits_for")
    class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PHASE_UNSPECIFIED: _ClassVar[TrainingProgress.Phase]
        PHASE_RECEIVING_INPUTS: _ClassVar[TrainingProgress.Phase]
        PHASE_EVALUATING_BASE: _ClassVar[TrainingProgress.Phase]
        PHASE_TRAINING: _ClassVar[TrainingProgress.Phase]
        PHASE_EVALUATING_NEW: _ClassVar[TrainingProgress.Phase]
        PHASE_SAVING: _ClassVar[TrainingProgress.Phase]
        PHASE_WAITING: _ClassVar[TrainingProgress.Phase]
    PHASE_UNSPECIFIED: TrainingProgress.Phase
    PHASE_RECEIVING_INPUTS: TrainingProgress.Phase
    PHASE_EVALUATING_BASE: TrainingProgress.Phase
    PHASE_TRAINING: TrainingProgress.Phase
    PHASE_EVALUATING_NEW: TrainingProgress.Phase
    PHASE_SAVING: TrainingProgress.Phase
    PHASE_WAITING: TrainingProgress.Phase
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    PHASE_FIELD_NUMBER: _ClassVar[int]
    INPUT_COUNT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STEP_COUNT_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    QUERIES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    REMAINING_SECONDS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    phase: TrainingProgress.Phase
    input_count: int
    step: int
    step_count: int
    loss: float
    learning_rate: float
    queries_per_second: float
    remaining_seconds: float
    metrics: _containers.ScalarMap[str, float]
    waits_for: str
    def __init__(self, phase: _Optional[_Union[TrainingProgress.Phase, str]] = ..., input_count: _Optional[int] = ..., step: _Optional[int] = ..., step_count: _Optional[int] = ..., loss: _Optional[float] = ..., learning_rate: _Optional[float] = ..., queries_per_second: _Optional[float] = ..., remaining_seconds: _Optional[float] = ..., metrics: _Optional[_Mapping[str, float]] = ..., waits_for: _Optional[str] = ...) -> None: ...

class CurvePoint(_message.Message):
    __slots__ = ("step", "logged_at", "loss", "learning_rate", "metrics")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    STEP_FIELD_NUMBER: _ClassVar[int]
    LOGGED_AT_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    step: int
    logged_at: _timestamp_pb2.Timestamp
    loss: float
    learning_rate: float
    metrics: _containers.ScalarMap[str, float]
    def __init__(self, step: _Optional[int] = ..., logged_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., loss: _Optional[float] = ..., learning_rate: _Optional[float] = ..., metrics: _Optional[_Mapping[str, float]] = ...) -> None: ...
