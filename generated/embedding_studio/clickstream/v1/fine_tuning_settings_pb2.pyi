import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FineTuningSettings(_message.Message):
    __slots__ = ("base_model", "item_template", "epochs", "batch_queries", "learning_rate", "max_tokens", "held_out_share", "held_out_after", "seed", "position_bias", "unexamined", "loss", "temperature", "frozen_layers", "lora_rank", "early_stopping_patience", "folds", "held_out_session_share", "step_scale")
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    ITEM_TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    BATCH_QUERIES_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    HELD_OUT_SHARE_FIELD_NUMBER: _ClassVar[int]
    HELD_OUT_AFTER_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    POSITION_BIAS_FIELD_NUMBER: _ClassVar[int]
    UNEXAMINED_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    FROZEN_LAYERS_FIELD_NUMBER: _ClassVar[int]
    LORA_RANK_FIELD_NUMBER: _ClassVar[int]
    EARLY_STOPPING_PATIENCE_FIELD_NUMBER: _ClassVar[int]
    FOLDS_FIELD_NUMBER: _ClassVar[int]
    HELD_OUT_SESSION_SHARE_FIELD_NUMBER: _ClassVar[int]
    STEP_SCALE_FIELD_NUMBER: _ClassVar[int]
    base_model: str
    item_template: str
    epochs: int
    batch_queries: int
    learning_rate: float
    max_tokens: int
    held_out_share: float
    held_out_after: _timestamp_pb2.Timestamp
    seed: int
    position_bias: str
    unexamined: str
    loss: str
    temperature: float
    frozen_layers: int
    lora_rank: int
    early_stopping_patience: int
    folds: int
    held_out_session_share: float
    step_scale: float
    def __init__(self, base_model: _Optional[str] = ..., item_template: _Optional[str] = ..., epochs: _Optional[int] = ..., batch_queries: _Optional[int] = ..., learning_rate: _Optional[float] = ..., max_tokens: _Optional[int] = ..., held_out_share: _Optional[float] = ..., held_out_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., seed: _Optional[int] = ..., position_bias: _Optional[str] = ..., unexamined: _Optional[str] = ..., loss: _Optional[str] = ..., temperature: _Optional[float] = ..., frozen_layers: _Optional[int] = ..., lora_rank: _Optional[int] = ..., early_stopping_patience: _Optional[int] = ..., folds: _Optional[int] = ..., held_out_session_share: _Optional[float] = ..., step_scale: _Optional[float] = ...) -> None: ...
