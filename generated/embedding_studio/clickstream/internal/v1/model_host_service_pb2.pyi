from embedding_studio.clickstream.v1 import model_service_pb2 as _model_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReadModelRequest(_message.Message):
    __slots__ = ("model_version_id", "file_name", "offset")
    MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    model_version_id: str
    file_name: str
    offset: int
    def __init__(self, model_version_id: _Optional[str] = ..., file_name: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class ReadModelResponse(_message.Message):
    __slots__ = ("files", "chunk")
    FILES_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    files: _model_service_pb2.ModelFiles
    chunk: _model_service_pb2.ModelChunk
    def __init__(self, files: _Optional[_Union[_model_service_pb2.ModelFiles, _Mapping]] = ..., chunk: _Optional[_Union[_model_service_pb2.ModelChunk, _Mapping]] = ...) -> None: ...

class EmbedTextsRequest(_message.Message):
    __slots__ = ("model_version_id", "texts", "kind")
    MODEL_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    model_version_id: str
    texts: _containers.RepeatedScalarFieldContainer[str]
    kind: _model_service_pb2.TextKind
    def __init__(self, model_version_id: _Optional[str] = ..., texts: _Optional[_Iterable[str]] = ..., kind: _Optional[_Union[_model_service_pb2.TextKind, str]] = ...) -> None: ...

class EmbedTextsResponse(_message.Message):
    __slots__ = ("embeddings",)
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    embeddings: _containers.RepeatedCompositeFieldContainer[_model_service_pb2.Embedding]
    def __init__(self, embeddings: _Optional[_Iterable[_Union[_model_service_pb2.Embedding, _Mapping]]] = ...) -> None: ...
