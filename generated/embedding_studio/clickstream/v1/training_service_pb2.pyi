from embedding_studio.clickstream.v1 import fine_tuning_settings_pb2 as _fine_tuning_settings_pb2
from embedding_studio.clickstream.v1 import judged_query_pb2 as _judged_query_pb2
from embedding_studio.clickstream.v1 import training_input_pb2 as _training_input_pb2
from embedding_studio.clickstream.v1 import training_progress_pb2 as _training_progress_pb2
from embedding_studio.clickstream.v1 import training_run_pb2 as _training_run_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StreamTrainingInputsRequest(_message.Message):
    __slots__ = ("batch_id", "after_number", "robot_verdict_number")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ROBOT_VERDICT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    after_number: int
    robot_verdict_number: int
    def __init__(self, batch_id: _Optional[str] = ..., after_number: _Optional[int] = ..., robot_verdict_number: _Optional[int] = ...) -> None: ...

class StreamTrainingInputsResponse(_message.Message):
    __slots__ = ("input", "summary", "robot_verdict_number")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    ROBOT_VERDICT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    input: _training_input_pb2.TrainingInput
    summary: _training_input_pb2.ConversionSummary
    robot_verdict_number: int
    def __init__(self, input: _Optional[_Union[_training_input_pb2.TrainingInput, _Mapping]] = ..., summary: _Optional[_Union[_training_input_pb2.ConversionSummary, _Mapping]] = ..., robot_verdict_number: _Optional[int] = ...) -> None: ...

class StartTrainingRequest(_message.Message):
    __slots__ = ("run_id", "batch_ids", "settings", "judged_queries", "robot_verdict_number")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    BATCH_IDS_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    JUDGED_QUERIES_FIELD_NUMBER: _ClassVar[int]
    ROBOT_VERDICT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    batch_ids: _containers.RepeatedScalarFieldContainer[str]
    settings: _fine_tuning_settings_pb2.FineTuningSettings
    judged_queries: _containers.RepeatedCompositeFieldContainer[_judged_query_pb2.JudgedQuery]
    robot_verdict_number: int
    def __init__(self, run_id: _Optional[str] = ..., batch_ids: _Optional[_Iterable[str]] = ..., settings: _Optional[_Union[_fine_tuning_settings_pb2.FineTuningSettings, _Mapping]] = ..., judged_queries: _Optional[_Iterable[_Union[_judged_query_pb2.JudgedQuery, _Mapping]]] = ..., robot_verdict_number: _Optional[int] = ...) -> None: ...

class StartTrainingResponse(_message.Message):
    __slots__ = ("run", "created")
    RUN_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    run: _training_run_pb2.TrainingRun
    created: bool
    def __init__(self, run: _Optional[_Union[_training_run_pb2.TrainingRun, _Mapping]] = ..., created: bool = ...) -> None: ...

class GetTrainingRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class GetTrainingRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: _training_run_pb2.TrainingRun
    def __init__(self, run: _Optional[_Union[_training_run_pb2.TrainingRun, _Mapping]] = ...) -> None: ...

class ListTrainingRunsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "states")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[_training_run_pb2.TrainingRunState]
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_training_run_pb2.TrainingRunState, str]]] = ...) -> None: ...

class ListTrainingRunsResponse(_message.Message):
    __slots__ = ("runs", "next_page_token")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[_training_run_pb2.TrainingRun]
    next_page_token: str
    def __init__(self, runs: _Optional[_Iterable[_Union[_training_run_pb2.TrainingRun, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchTrainingRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class WatchTrainingRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: _training_run_pb2.TrainingRun
    def __init__(self, run: _Optional[_Union[_training_run_pb2.TrainingRun, _Mapping]] = ...) -> None: ...

class GetTrainingCurveRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class GetTrainingCurveResponse(_message.Message):
    __slots__ = ("points",)
    POINTS_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[_training_progress_pb2.CurvePoint]
    def __init__(self, points: _Optional[_Iterable[_Union[_training_progress_pb2.CurvePoint, _Mapping]]] = ...) -> None: ...

class CancelTrainingRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class CancelTrainingRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: _training_run_pb2.TrainingRun
    def __init__(self, run: _Optional[_Union[_training_run_pb2.TrainingRun, _Mapping]] = ...) -> None: ...
