from embedding_studio.clickstream.v1 import fine_tuning_settings_pb2 as _fine_tuning_settings_pb2
from embedding_studio.clickstream.v1 import judged_query_pb2 as _judged_query_pb2
from embedding_studio.clickstream.v1 import model_version_pb2 as _model_version_pb2
from embedding_studio.clickstream.v1 import training_input_pb2 as _training_input_pb2
from embedding_studio.clickstream.v1 import training_progress_pb2 as _training_progress_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FineTuneRequest(_message.Message):
    __slots__ = ("start", "input")
    START_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    start: FineTuneStart
    input: _training_input_pb2.TrainingInput
    def __init__(self, start: _Optional[_Union[FineTuneStart, _Mapping]] = ..., input: _Optional[_Union[_training_input_pb2.TrainingInput, _Mapping]] = ...) -> None: ...

class FineTuneStart(_message.Message):
    __slots__ = ("run_id", "settings", "judged_queries", "earlier_runs")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    JUDGED_QUERIES_FIELD_NUMBER: _ClassVar[int]
    EARLIER_RUNS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    settings: _fine_tuning_settings_pb2.FineTuningSettings
    judged_queries: _containers.RepeatedCompositeFieldContainer[_judged_query_pb2.JudgedQuery]
    earlier_runs: int
    def __init__(self, run_id: _Optional[str] = ..., settings: _Optional[_Union[_fine_tuning_settings_pb2.FineTuningSettings, _Mapping]] = ..., judged_queries: _Optional[_Iterable[_Union[_judged_query_pb2.JudgedQuery, _Mapping]]] = ..., earlier_runs: _Optional[int] = ...) -> None: ...

class FineTuneResponse(_message.Message):
    __slots__ = ("progress", "model_version", "failure", "points")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    progress: _training_progress_pb2.TrainingProgress
    model_version: _model_version_pb2.ModelVersion
    failure: FineTuneFailure
    points: _containers.RepeatedCompositeFieldContainer[_training_progress_pb2.CurvePoint]
    def __init__(self, progress: _Optional[_Union[_training_progress_pb2.TrainingProgress, _Mapping]] = ..., model_version: _Optional[_Union[_model_version_pb2.ModelVersion, _Mapping]] = ..., failure: _Optional[_Union[FineTuneFailure, _Mapping]] = ..., points: _Optional[_Iterable[_Union[_training_progress_pb2.CurvePoint, _Mapping]]] = ...) -> None: ...

class FineTuneFailure(_message.Message):
    __slots__ = ("message", "may_be_repeated")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MAY_BE_REPEATED_FIELD_NUMBER: _ClassVar[int]
    message: str
    may_be_repeated: bool
    def __init__(self, message: _Optional[str] = ..., may_be_repeated: bool = ...) -> None: ...
