from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Evaluation(_message.Message):
    __slots__ = ("base", "new", "ndcg_gain", "mrr_gain", "recall_gain", "recall_at_100_gain", "segments", "judged", "repeated", "weighted_gain", "repeated_share", "repeated_share_basis", "folds", "step_scale", "step_scales")
    BASE_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    NDCG_GAIN_FIELD_NUMBER: _ClassVar[int]
    MRR_GAIN_FIELD_NUMBER: _ClassVar[int]
    RECALL_GAIN_FIELD_NUMBER: _ClassVar[int]
    RECALL_AT_100_GAIN_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    JUDGED_FIELD_NUMBER: _ClassVar[int]
    REPEATED_FIELD_NUMBER: _ClassVar[int]
    WEIGHTED_GAIN_FIELD_NUMBER: _ClassVar[int]
    REPEATED_SHARE_FIELD_NUMBER: _ClassVar[int]
    REPEATED_SHARE_BASIS_FIELD_NUMBER: _ClassVar[int]
    FOLDS_FIELD_NUMBER: _ClassVar[int]
    STEP_SCALE_FIELD_NUMBER: _ClassVar[int]
    STEP_SCALES_FIELD_NUMBER: _ClassVar[int]
    base: Metrics
    new: Metrics
    ndcg_gain: Gain
    mrr_gain: Gain
    recall_gain: Gain
    recall_at_100_gain: Gain
    segments: _containers.RepeatedCompositeFieldContainer[Segment]
    judged: JudgedEvaluation
    repeated: Comparison
    weighted_gain: Gain
    repeated_share: float
    repeated_share_basis: str
    folds: int
    step_scale: float
    step_scales: _containers.RepeatedCompositeFieldContainer[StepScale]
    def __init__(self, base: _Optional[_Union[Metrics, _Mapping]] = ..., new: _Optional[_Union[Metrics, _Mapping]] = ..., ndcg_gain: _Optional[_Union[Gain, _Mapping]] = ..., mrr_gain: _Optional[_Union[Gain, _Mapping]] = ..., recall_gain: _Optional[_Union[Gain, _Mapping]] = ..., recall_at_100_gain: _Optional[_Union[Gain, _Mapping]] = ..., segments: _Optional[_Iterable[_Union[Segment, _Mapping]]] = ..., judged: _Optional[_Union[JudgedEvaluation, _Mapping]] = ..., repeated: _Optional[_Union[Comparison, _Mapping]] = ..., weighted_gain: _Optional[_Union[Gain, _Mapping]] = ..., repeated_share: _Optional[float] = ..., repeated_share_basis: _Optional[str] = ..., folds: _Optional[int] = ..., step_scale: _Optional[float] = ..., step_scales: _Optional[_Iterable[_Union[StepScale, _Mapping]]] = ...) -> None: ...

class StepScale(_message.Message):
    __slots__ = ("scale", "held_out_ndcg_at_10", "repeated_ndcg_at_10")
    SCALE_FIELD_NUMBER: _ClassVar[int]
    HELD_OUT_NDCG_AT_10_FIELD_NUMBER: _ClassVar[int]
    REPEATED_NDCG_AT_10_FIELD_NUMBER: _ClassVar[int]
    scale: float
    held_out_ndcg_at_10: float
    repeated_ndcg_at_10: float
    def __init__(self, scale: _Optional[float] = ..., held_out_ndcg_at_10: _Optional[float] = ..., repeated_ndcg_at_10: _Optional[float] = ...) -> None: ...

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
