import datetime

from embedding_studio.clickstream.v1 import model_version_pb2 as _model_version_pb2
from embedding_studio.clickstream.v1 import training_run_pb2 as _training_run_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TextKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TEXT_KIND_UNSPECIFIED: _ClassVar[TextKind]
    TEXT_KIND_QUERY: _ClassVar[TextKind]
    TEXT_KIND_ITEM: _ClassVar[TextKind]
TEXT_KIND_UNSPECIFIED: TextKind
TEXT_KIND_QUERY: TextKind
TEXT_KIND_ITEM: TextKind

class Promotion(_message.Message):
    __slots__ = ("sequence", "model_version_id", "request_id", "rollback", "forced", "reason", "promoted_at", "previous_sequence")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_FIELD_NUMBER: _ClassVar[int]
    FORCED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PROMOTED_AT_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    model_version_id: str
    request_id: str
    rollback: bool
    forced: bool
    reason: str
    promoted_at: _timestamp_pb2.Timestamp
    previous_sequence: int
    def __init__(self, sequence: _Optional[int] = ..., model_version_id: _Optional[str] = ..., request_id: _Optional[str] = ..., rollback: bool = ..., forced: bool = ..., reason: _Optional[str] = ..., promoted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., previous_sequence: _Optional[int] = ...) -> None: ...

class GetModelVersionRequest(_message.Message):
    __slots__ = ("model_version_id",)
    MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    model_version_id: str
    def __init__(self, model_version_id: _Optional[str] = ...) -> None: ...

class GetModelVersionResponse(_message.Message):
    __slots__ = ("model_version",)
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    model_version: _model_version_pb2.ModelVersion
    def __init__(self, model_version: _Optional[_Union[_model_version_pb2.ModelVersion, _Mapping]] = ...) -> None: ...

class ListModelVersionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "gate_passed_only")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    GATE_PASSED_ONLY_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    gate_passed_only: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., gate_passed_only: bool = ...) -> None: ...

class ListModelVersionsResponse(_message.Message):
    __slots__ = ("model_versions", "next_page_token", "serving_model_version_id")
    MODEL_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SERVING_MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    model_versions: _containers.RepeatedCompositeFieldContainer[_model_version_pb2.ModelVersion]
    next_page_token: str
    serving_model_version_id: str
    def __init__(self, model_versions: _Optional[_Iterable[_Union[_model_version_pb2.ModelVersion, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., serving_model_version_id: _Optional[str] = ...) -> None: ...

class PromoteModelRequest(_message.Message):
    __slots__ = ("model_version_id", "request_id", "expected_model_version_id", "force", "reason")
    MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    model_version_id: str
    request_id: str
    expected_model_version_id: str
    force: bool
    reason: str
    def __init__(self, model_version_id: _Optional[str] = ..., request_id: _Optional[str] = ..., expected_model_version_id: _Optional[str] = ..., force: bool = ..., reason: _Optional[str] = ...) -> None: ...

class PromoteModelResponse(_message.Message):
    __slots__ = ("promotion", "created")
    PROMOTION_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    promotion: Promotion
    created: bool
    def __init__(self, promotion: _Optional[_Union[Promotion, _Mapping]] = ..., created: bool = ...) -> None: ...

class RollbackModelRequest(_message.Message):
    __slots__ = ("request_id", "expected_model_version_id", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    expected_model_version_id: str
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., expected_model_version_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RollbackModelResponse(_message.Message):
    __slots__ = ("promotion", "created")
    PROMOTION_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    promotion: Promotion
    created: bool
    def __init__(self, promotion: _Optional[_Union[Promotion, _Mapping]] = ..., created: bool = ...) -> None: ...

class ListPromotionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPromotionsResponse(_message.Message):
    __slots__ = ("promotions", "next_page_token")
    PROMOTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    promotions: _containers.RepeatedCompositeFieldContainer[Promotion]
    next_page_token: str
    def __init__(self, promotions: _Optional[_Iterable[_Union[Promotion, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DownloadModelRequest(_message.Message):
    __slots__ = ("model_version_id", "file_name", "offset")
    MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    model_version_id: str
    file_name: str
    offset: int
    def __init__(self, model_version_id: _Optional[str] = ..., file_name: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class DownloadModelResponse(_message.Message):
    __slots__ = ("files", "chunk")
    FILES_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    files: ModelFiles
    chunk: ModelChunk
    def __init__(self, files: _Optional[_Union[ModelFiles, _Mapping]] = ..., chunk: _Optional[_Union[ModelChunk, _Mapping]] = ...) -> None: ...

class ModelFiles(_message.Message):
    __slots__ = ("model_version_id", "files", "total_bytes", "sha256")
    MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    model_version_id: str
    files: _containers.RepeatedCompositeFieldContainer[ModelFile]
    total_bytes: int
    sha256: str
    def __init__(self, model_version_id: _Optional[str] = ..., files: _Optional[_Iterable[_Union[ModelFile, _Mapping]]] = ..., total_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class ModelFile(_message.Message):
    __slots__ = ("name", "size_bytes", "sha256")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    name: str
    size_bytes: int
    sha256: str
    def __init__(self, name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class ModelChunk(_message.Message):
    __slots__ = ("file_name", "offset", "data")
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    file_name: str
    offset: int
    data: bytes
    def __init__(self, file_name: _Optional[str] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class EmbedRequest(_message.Message):
    __slots__ = ("texts", "kind", "model_version_id")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedScalarFieldContainer[str]
    kind: TextKind
    model_version_id: str
    def __init__(self, texts: _Optional[_Iterable[str]] = ..., kind: _Optional[_Union[TextKind, str]] = ..., model_version_id: _Optional[str] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("embeddings", "model_version_id")
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    embeddings: _containers.RepeatedCompositeFieldContainer[Embedding]
    model_version_id: str
    def __init__(self, embeddings: _Optional[_Iterable[_Union[Embedding, _Mapping]]] = ..., model_version_id: _Optional[str] = ...) -> None: ...

class Embedding(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class StreamModelLineageRequest(_message.Message):
    __slots__ = ("model_version_id", "batch_id", "after_number")
    MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_NUMBER_FIELD_NUMBER: _ClassVar[int]
    model_version_id: str
    batch_id: str
    after_number: int
    def __init__(self, model_version_id: _Optional[str] = ..., batch_id: _Optional[str] = ..., after_number: _Optional[int] = ...) -> None: ...

class StreamModelLineageResponse(_message.Message):
    __slots__ = ("origin", "input")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    origin: ModelOrigin
    input: InputOrigin
    def __init__(self, origin: _Optional[_Union[ModelOrigin, _Mapping]] = ..., input: _Optional[_Union[InputOrigin, _Mapping]] = ...) -> None: ...

class ModelOrigin(_message.Message):
    __slots__ = ("model_version", "policy_version", "robot_verdict_number")
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    ROBOT_VERDICT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    model_version: _model_version_pb2.ModelVersion
    policy_version: str
    robot_verdict_number: int
    def __init__(self, model_version: _Optional[_Union[_model_version_pb2.ModelVersion, _Mapping]] = ..., policy_version: _Optional[str] = ..., robot_verdict_number: _Optional[int] = ...) -> None: ...

class InputOrigin(_message.Message):
    __slots__ = ("batch_id", "session_number", "session_id", "event_ids")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    session_number: int
    session_id: str
    event_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, batch_id: _Optional[str] = ..., session_number: _Optional[int] = ..., session_id: _Optional[str] = ..., event_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetSessionLineageRequest(_message.Message):
    __slots__ = ("session_id", "page_size", "page_token")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    page_size: int
    page_token: str
    def __init__(self, session_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class GetSessionLineageResponse(_message.Message):
    __slots__ = ("batch_id", "session_number", "input", "runs", "next_page_token", "improvement")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    IMPROVEMENT_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    session_number: int
    input: InputOrigin
    runs: _containers.RepeatedCompositeFieldContainer[RunOfSession]
    next_page_token: str
    improvement: RunOfSession
    def __init__(self, batch_id: _Optional[str] = ..., session_number: _Optional[int] = ..., input: _Optional[_Union[InputOrigin, _Mapping]] = ..., runs: _Optional[_Iterable[_Union[RunOfSession, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., improvement: _Optional[_Union[RunOfSession, _Mapping]] = ...) -> None: ...

class RunOfSession(_message.Message):
    __slots__ = ("run_id", "state", "model_version_id", "robot_verdict_number")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    ROBOT_VERDICT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    state: _training_run_pb2.TrainingRunState
    model_version_id: str
    robot_verdict_number: int
    def __init__(self, run_id: _Optional[str] = ..., state: _Optional[_Union[_training_run_pb2.TrainingRunState, str]] = ..., model_version_id: _Optional[str] = ..., robot_verdict_number: _Optional[int] = ...) -> None: ...
