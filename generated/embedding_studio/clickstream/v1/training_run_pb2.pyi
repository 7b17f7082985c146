import datetime

from embedding_studio.clickstream.v1 import fine_tuning_settings_pb2 as _fine_tuning_settings_pb2
from embedding_studio.clickstream.v1 import model_version_pb2 as _model_version_pb2
from embedding_studio.clickstream.v1 import training_input_pb2 as _training_input_pb2
from embedding_studio.clickstream.v1 import training_progress_pb2 as _training_progress_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TrainingRunState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRAINING_RUN_STATE_UNSPECIFIED: _ClassVar[TrainingRunState]
    TRAINING_RUN_STATE_QUEUED: _ClassVar[TrainingRunState]
    TRAINING_RUN_STATE_RUNNING: _ClassVar[TrainingRunState]
    TRAINING_RUN_STATE_SUCCEEDED: _ClassVar[TrainingRunState]
    TRAINING_RUN_STATE_FAILED: _ClassVar[TrainingRunState]
    TRAINING_RUN_STATE_CANCELED: _ClassVar[TrainingRunState]
TRAINING_RUN_STATE_UNSPECIFIED: TrainingRunState
TRAINING_RUN_STATE_QUEUED: TrainingRunState
TRAINING_RUN_STATE_RUNNING: TrainingRunState
TRAINING_RUN_STATE_SUCCEEDED: TrainingRunState
TRAINING_RUN_STATE_FAILED: TrainingRunState
TRAINING_RUN_STATE_CANCELED: TrainingRunState

class TrainingRun(_message.Message):
    __slots__ = ("run_id", "batch_ids", "from_improvement_queue", "settings", "state", "reason", "progress", "conversion", "model_version", "attempts", "cancel_requested", "queued_at", "started_at", "ended_at", "robot_verdict_number")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    BATCH_IDS_FIELD_NUMBER: _ClassVar[int]
    FROM_IMPROVEMENT_QUEUE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    CONVERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    QUEUED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    ROBOT_VERDICT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    batch_ids: _containers.RepeatedScalarFieldContainer[str]
    from_improvement_queue: bool
    settings: _fine_tuning_settings_pb2.FineTuningSettings
    state: TrainingRunState
    reason: str
    progress: _training_progress_pb2.TrainingProgress
    conversion: _training_input_pb2.ConversionSummary
    model_version: _model_version_pb2.ModelVersion
    attempts: int
    cancel_requested: bool
    queued_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    robot_verdict_number: int
    def __init__(self, run_id: _Optional[str] = ..., batch_ids: _Optional[_Iterable[str]] = ..., from_improvement_queue: bool = ..., settings: _Optional[_Union[_fine_tuning_settings_pb2.FineTuningSettings, _Mapping]] = ..., state: _Optional[_Union[TrainingRunState, str]] = ..., reason: _Optional[str] = ..., progress: _Optional[_Union[_training_progress_pb2.TrainingProgress, _Mapping]] = ..., conversion: _Optional[_Union[_training_input_pb2.ConversionSummary, _Mapping]] = ..., model_version: _Optional[_Union[_model_version_pb2.ModelVersion, _Mapping]] = ..., attempts: _Optional[int] = ..., cancel_requested: bool = ..., queued_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., robot_verdict_number: _Optional[int] = ...) -> None: ...
