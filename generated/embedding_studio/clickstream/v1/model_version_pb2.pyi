import datetime

from embedding_studio.clickstream.v1 import evaluation_pb2 as _evaluation_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelVersion(_message.Message):
    __slots__ = ("model_version_id", "run_id", "path", "base_model", "parent_model_version_id", "batch_ids", "policy_version", "data_fingerprint", "data", "evaluation", "click_models", "gate_passed", "gate_reason", "created_at", "serving")
    MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    PARENT_MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    BATCH_IDS_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    DATA_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    CLICK_MODELS_FIELD_NUMBER: _ClassVar[int]
    GATE_PASSED_FIELD_NUMBER: _ClassVar[int]
    GATE_REASON_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    SERVING_FIELD_NUMBER: _ClassVar[int]
    model_version_id: str
    run_id: str
    path: str
    base_model: str
    parent_model_version_id: str
    batch_ids: _containers.RepeatedScalarFieldContainer[str]
    policy_version: str
    data_fingerprint: str
    data: DataCounts
    evaluation: _evaluation_pb2.Evaluation
    click_models: _containers.RepeatedCompositeFieldContainer[ClickModelScore]
    gate_passed: bool
    gate_reason: str
    created_at: _timestamp_pb2.Timestamp
    serving: bool
    def __init__(self, model_version_id: _Optional[str] = ..., run_id: _Optional[str] = ..., path: _Optional[str] = ..., base_model: _Optional[str] = ..., parent_model_version_id: _Optional[str] = ..., batch_ids: _Optional[_Iterable[str]] = ..., policy_version: _Optional[str] = ..., data_fingerprint: _Optional[str] = ..., data: _Optional[_Union[DataCounts, _Mapping]] = ..., evaluation: _Optional[_Union[_evaluation_pb2.Evaluation, _Mapping]] = ..., click_models: _Optional[_Iterable[_Union[ClickModelScore, _Mapping]]] = ..., gate_passed: bool = ..., gate_reason: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., serving: bool = ...) -> None: ...

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
