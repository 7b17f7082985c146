import datetime

from embedding_studio.clickstream.v1 import training_input_pb2 as _training_input_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
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
    __slots__ = ("run_id", "settings", "judged_queries")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    JUDGED_QUERIES_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    settings: FineTuningSettings
    judged_queries: _containers.RepeatedCompositeFieldContainer[JudgedQuery]
    def __init__(self, run_id: _Optional[str] = ..., settings: _Optional[_Union[FineTuningSettings, _Mapping]] = ..., judged_queries: _Optional[_Iterable[_Union[JudgedQuery, _Mapping]]] = ...) -> None: ...

class JudgedQuery(_message.Message):
    __slots__ = ("query", "judgements")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    JUDGEMENTS_FIELD_NUMBER: _ClassVar[int]
    query: str
    judgements: _containers.RepeatedCompositeFieldContainer[Judgement]
    def __init__(self, query: _Optional[str] = ..., judgements: _Optional[_Iterable[_Union[Judgement, _Mapping]]] = ...) -> None: ...

class Judgement(_message.Message):
    __slots__ = ("object_id", "grade")
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    GRADE_FIELD_NUMBER: _ClassVar[int]
    object_id: str
    grade: int
    def __init__(self, object_id: _Optional[str] = ..., grade: _Optional[int] = ...) -> None: ...

class FineTuneResponse(_message.Message):
    __slots__ = ("progress", "model_version")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    progress: TrainingProgress
    model_version: ModelVersion
    def __init__(self, progress: _Optional[_Union[TrainingProgress, _Mapping]] = ..., model_version: _Optional[_Union[ModelVersion, _Mapping]] = ...) -> None: ...

class FineTuningSettings(_message.Message):
    __slots__ = ("base_model", "item_template", "epochs", "batch_queries", "learning_rate", "max_tokens", "held_out_share", "seed", "position_bias", "temperature", "held_out_after", "loss", "frozen_layers", "lora_rank", "early_stopping_patience", "unexamined")
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    ITEM_TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    BATCH_QUERIES_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    HELD_OUT_SHARE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    POSITION_BIAS_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    HELD_OUT_AFTER_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    FROZEN_LAYERS_FIELD_NUMBER: _ClassVar[int]
    LORA_RANK_FIELD_NUMBER: _ClassVar[int]
    EARLY_STOPPING_PATIENCE_FIELD_NUMBER: _ClassVar[int]
    UNEXAMINED_FIELD_NUMBER: _ClassVar[int]
    base_model: str
    item_template: str
    epochs: int
    batch_queries: int
    learning_rate: float
    max_tokens: int
    held_out_share: float
    seed: int
    position_bias: str
    temperature: float
    held_out_after: _timestamp_pb2.Timestamp
    loss: str
    frozen_layers: int
    lora_rank: int
    early_stopping_patience: int
    unexamined: str
    def __init__(self, base_model: _Optional[str] = ..., item_template: _Optional[str] = ..., epochs: _Optional[int] = ..., batch_queries: _Optional[int] = ..., learning_rate: _Optional[float] = ..., max_tokens: _Optional[int] = ..., held_out_share: _Optional[float] = ..., seed: _Optional[int] = ..., position_bias: _Optional[str] = ..., temperature: _Optional[float] = ..., held_out_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., loss: _Optional[str] = ..., frozen_layers: _Optional[int] = ..., lora_rank: _Optional[int] = ..., early_stopping_patience: _Optional[int] = ..., unexamined: _Optional[str] = ...) -> None: ...

class TrainingProgress(_message.Message):
    __slots__ = ("phase", "input_count", "step", "step_count", "loss", "learning_rate", "queries_per_second", "remaining_seconds", "metrics", "points")
    class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PHASE_UNSPECIFIED: _ClassVar[TrainingProgress.Phase]
        PHASE_RECEIVING_INPUTS: _ClassVar[TrainingProgress.Phase]
        PHASE_EVALUATING_BASE: _ClassVar[TrainingProgress.Phase]
        PHASE_TRAINING: _ClassVar[TrainingProgress.Phase]
        PHASE_EVALUATING_NEW: _ClassVar[TrainingProgress.Phase]
        PHASE_SAVING: _ClassVar[TrainingProgress.Phase]
    PHASE_UNSPECIFIED: TrainingProgress.Phase
    PHASE_RECEIVING_INPUTS: TrainingProgress.Phase
    PHASE_EVALUATING_BASE: TrainingProgress.Phase
    PHASE_TRAINING: TrainingProgress.Phase
    PHASE_EVALUATING_NEW: TrainingProgress.Phase
    PHASE_SAVING: TrainingProgress.Phase
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
    POINTS_FIELD_NUMBER: _ClassVar[int]
    phase: TrainingProgress.Phase
    input_count: int
    step: int
    step_count: int
    loss: float
    learning_rate: float
    queries_per_second: float
    remaining_seconds: float
    metrics: _containers.ScalarMap[str, float]
    points: _containers.RepeatedCompositeFieldContainer[CurvePoint]
    def __init__(self, phase: _Optional[_Union[TrainingProgress.Phase, str]] = ..., input_count: _Optional[int] = ..., step: _Optional[int] = ..., step_count: _Optional[int] = ..., loss: _Optional[float] = ..., learning_rate: _Optional[float] = ..., queries_per_second: _Optional[float] = ..., remaining_seconds: _Optional[float] = ..., metrics: _Optional[_Mapping[str, float]] = ..., points: _Optional[_Iterable[_Union[CurvePoint, _Mapping]]] = ...) -> None: ...

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

class ModelVersion(_message.Message):
    __slots__ = ("model_version_id", "run_id", "path", "base_model", "batch_ids", "policy_version", "data_fingerprint", "data", "evaluation", "promoted", "gate_reason", "created_at", "click_models", "parent_model_version_id")
    MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    BATCH_IDS_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    DATA_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    PROMOTED_FIELD_NUMBER: _ClassVar[int]
    GATE_REASON_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CLICK_MODELS_FIELD_NUMBER: _ClassVar[int]
    PARENT_MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    model_version_id: str
    run_id: str
    path: str
    base_model: str
    batch_ids: _containers.RepeatedScalarFieldContainer[str]
    policy_version: str
    data_fingerprint: str
    data: DataCounts
    evaluation: Evaluation
    promoted: bool
    gate_reason: str
    created_at: _timestamp_pb2.Timestamp
    click_models: _containers.RepeatedCompositeFieldContainer[ClickModelScore]
    parent_model_version_id: str
    def __init__(self, model_version_id: _Optional[str] = ..., run_id: _Optional[str] = ..., path: _Optional[str] = ..., base_model: _Optional[str] = ..., batch_ids: _Optional[_Iterable[str]] = ..., policy_version: _Optional[str] = ..., data_fingerprint: _Optional[str] = ..., data: _Optional[_Union[DataCounts, _Mapping]] = ..., evaluation: _Optional[_Union[Evaluation, _Mapping]] = ..., promoted: bool = ..., gate_reason: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., click_models: _Optional[_Iterable[_Union[ClickModelScore, _Mapping]]] = ..., parent_model_version_id: _Optional[str] = ...) -> None: ...

class ClickModelScore(_message.Message):
    __slots__ = ("name", "perplexity", "log_likelihood", "chosen")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PERPLEXITY_FIELD_NUMBER: _ClassVar[int]
    LOG_LIKELIHOOD_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    name: str
    perplexity: float
    log_likelihood: float
    chosen: bool
    def __init__(self, name: _Optional[str] = ..., perplexity: _Optional[float] = ..., log_likelihood: _Optional[float] = ..., chosen: bool = ...) -> None: ...

class DataCounts(_message.Message):
    __slots__ = ("input_count", "training_queries", "held_out_queries", "items", "items_without_text", "inputs_without_text", "inputs_outside_time")
    INPUT_COUNT_FIELD_NUMBER: _ClassVar[int]
    TRAINING_QUERIES_FIELD_NUMBER: _ClassVar[int]
    HELD_OUT_QUERIES_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_WITHOUT_TEXT_FIELD_NUMBER: _ClassVar[int]
    INPUTS_WITHOUT_TEXT_FIELD_NUMBER: _ClassVar[int]
    INPUTS_OUTSIDE_TIME_FIELD_NUMBER: _ClassVar[int]
    input_count: int
    training_queries: int
    held_out_queries: int
    items: int
    items_without_text: int
    inputs_without_text: int
    inputs_outside_time: int
    def __init__(self, input_count: _Optional[int] = ..., training_queries: _Optional[int] = ..., held_out_queries: _Optional[int] = ..., items: _Optional[int] = ..., items_without_text: _Optional[int] = ..., inputs_without_text: _Optional[int] = ..., inputs_outside_time: _Optional[int] = ...) -> None: ...

class Evaluation(_message.Message):
    __slots__ = ("base", "new", "ndcg_gain", "ndcg_gain_lower", "ndcg_gain_upper", "mrr_gain", "recall_gain", "recall_at_100_gain", "segments", "judged")
    BASE_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    NDCG_GAIN_FIELD_NUMBER: _ClassVar[int]
    NDCG_GAIN_LOWER_FIELD_NUMBER: _ClassVar[int]
    NDCG_GAIN_UPPER_FIELD_NUMBER: _ClassVar[int]
    MRR_GAIN_FIELD_NUMBER: _ClassVar[int]
    RECALL_GAIN_FIELD_NUMBER: _ClassVar[int]
    RECALL_AT_100_GAIN_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    JUDGED_FIELD_NUMBER: _ClassVar[int]
    base: Metrics
    new: Metrics
    ndcg_gain: float
    ndcg_gain_lower: float
    ndcg_gain_upper: float
    mrr_gain: Gain
    recall_gain: Gain
    recall_at_100_gain: Gain
    segments: _containers.RepeatedCompositeFieldContainer[Segment]
    judged: JudgedEvaluation
    def __init__(self, base: _Optional[_Union[Metrics, _Mapping]] = ..., new: _Optional[_Union[Metrics, _Mapping]] = ..., ndcg_gain: _Optional[float] = ..., ndcg_gain_lower: _Optional[float] = ..., ndcg_gain_upper: _Optional[float] = ..., mrr_gain: _Optional[_Union[Gain, _Mapping]] = ..., recall_gain: _Optional[_Union[Gain, _Mapping]] = ..., recall_at_100_gain: _Optional[_Union[Gain, _Mapping]] = ..., segments: _Optional[_Iterable[_Union[Segment, _Mapping]]] = ..., judged: _Optional[_Union[JudgedEvaluation, _Mapping]] = ...) -> None: ...

class Metrics(_message.Message):
    __slots__ = ("ndcg_at_10", "mrr_at_10", "recall_at_10", "recall_at_100")
    NDCG_AT_10_FIELD_NUMBER: _ClassVar[int]
    MRR_AT_10_FIELD_NUMBER: _ClassVar[int]
    RECALL_AT_10_FIELD_NUMBER: _ClassVar[int]
    RECALL_AT_100_FIELD_NUMBER: _ClassVar[int]
    ndcg_at_10: float
    mrr_at_10: float
    recall_at_10: float
    recall_at_100: float
    def __init__(self, ndcg_at_10: _Optional[float] = ..., mrr_at_10: _Optional[float] = ..., recall_at_10: _Optional[float] = ..., recall_at_100: _Optional[float] = ...) -> None: ...

class Gain(_message.Message):
    __slots__ = ("mean", "lower", "upper")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    mean: float
    lower: float
    upper: float
    def __init__(self, mean: _Optional[float] = ..., lower: _Optional[float] = ..., upper: _Optional[float] = ...) -> None: ...

class Comparison(_message.Message):
    __slots__ = ("query_count", "base", "new", "ndcg_gain", "mrr_gain", "recall_gain", "recall_at_100_gain")
    QUERY_COUNT_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    NDCG_GAIN_FIELD_NUMBER: _ClassVar[int]
    MRR_GAIN_FIELD_NUMBER: _ClassVar[int]
    RECALL_GAIN_FIELD_NUMBER: _ClassVar[int]
    RECALL_AT_100_GAIN_FIELD_NUMBER: _ClassVar[int]
    query_count: int
    base: Metrics
    new: Metrics
    ndcg_gain: Gain
    mrr_gain: Gain
    recall_gain: Gain
    recall_at_100_gain: Gain
    def __init__(self, query_count: _Optional[int] = ..., base: _Optional[_Union[Metrics, _Mapping]] = ..., new: _Optional[_Union[Metrics, _Mapping]] = ..., ndcg_gain: _Optional[_Union[Gain, _Mapping]] = ..., mrr_gain: _Optional[_Union[Gain, _Mapping]] = ..., recall_gain: _Optional[_Union[Gain, _Mapping]] = ..., recall_at_100_gain: _Optional[_Union[Gain, _Mapping]] = ...) -> None: ...

class Segment(_message.Message):
    __slots__ = ("kind", "value", "comparison")
    KIND_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    kind: str
    value: str
    comparison: Comparison
    def __init__(self, kind: _Optional[str] = ..., value: _Optional[str] = ..., comparison: _Optional[_Union[Comparison, _Mapping]] = ...) -> None: ...

class JudgedEvaluation(_message.Message):
    __slots__ = ("judgements_sha256", "unsearched", "searched", "unmeasured_queries", "unknown_items")
    JUDGEMENTS_SHA256_FIELD_NUMBER: _ClassVar[int]
    UNSEARCHED_FIELD_NUMBER: _ClassVar[int]
    SEARCHED_FIELD_NUMBER: _ClassVar[int]
    UNMEASURED_QUERIES_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_ITEMS_FIELD_NUMBER: _ClassVar[int]
    judgements_sha256: str
    unsearched: Comparison
    searched: Comparison
    unmeasured_queries: int
    unknown_items: int
    def __init__(self, judgements_sha256: _Optional[str] = ..., unsearched: _Optional[_Union[Comparison, _Mapping]] = ..., searched: _Optional[_Union[Comparison, _Mapping]] = ..., unmeasured_queries: _Optional[int] = ..., unknown_items: _Optional[int] = ...) -> None: ...
