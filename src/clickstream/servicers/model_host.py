"""ModelHostService, where the models lie, and the client that ModelService calls it with."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NoReturn

import grpc
from embedding_studio.clickstream.v1 import model_host_service_pb2 as pb
from embedding_studio.clickstream.v1 import model_service_pb2
from embedding_studio.clickstream.v1.model_host_service_pb2_grpc import ModelHostServiceServicer, ModelHostServiceStub
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from clickstream import limits
from clickstream.embedding import Embedding
from clickstream.errors import (
    ClickstreamError,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from clickstream.model_files import ModelFiles
from clickstream.servicers import validation
from clickstream.servicers.boundary import TRANSPORT_BYTES, Context

KINDS = {model_service_pb2.TEXT_KIND_QUERY: "query", model_service_pb2.TEXT_KIND_ITEM: "item"}
ERRORS: dict[grpc.StatusCode, type[ClickstreamError]] = {
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
}


def model_folder(models: Path, model_version_id: str) -> Path:
    """The folder of a version. Raises NotFound if this machine does not hold it."""
    named = validation.TYPE_CHARACTERS.issuperset(model_version_id) and not model_version_id.startswith(".")
    if not (model_version_id and named and (models / model_version_id).is_dir()):
        raise NotFound("MODEL_VERSION_NOT_FOUND", "model_version_id: the machine of the models does not hold its files")
    return models / model_version_id


class ModelHostServicer(ModelHostServiceServicer):
    """Reads the files under `models`, and embeds with what they hold."""

    def __init__(self, models: Path, embedding: Embedding) -> None:
        self._models = models
        self._embedding = embedding

    async def ReadModel(  # noqa: N802
        self, request: pb.ReadModelRequest, context: Context
    ) -> AsyncIterator[pb.ReadModelResponse]:
        """See the contract."""
        folder = model_folder(self._models, request.model_version_id)
        found = await asyncio.to_thread(ModelFiles, folder)
        chunks = found.chunks(request.file_name, request.offset)
        files = [
            model_service_pb2.ModelFile(name=file.name, size_bytes=file.size, sha256=file.sha256)
            for file in found.files
        ]
        yield pb.ReadModelResponse(
            files=model_service_pb2.ModelFiles(
                model_version_id=folder.name, files=files, total_bytes=found.total_bytes, sha256=found.sha256
            )
        )
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            message = model_service_pb2.ModelChunk(file_name=chunk.file_name, offset=chunk.offset, data=chunk.data)
            yield pb.ReadModelResponse(chunk=message)

    async def EmbedTexts(self, request: pb.EmbedTextsRequest, context: Context) -> pb.EmbedTextsResponse:  # noqa: N802
        """See the contract."""
        check_texts(request.texts, request.kind)
        vectors = await self._embedding.embed(request.model_version_id, KINDS[request.kind], list(request.texts))
        return pb.EmbedTextsResponse(embeddings=[model_service_pb2.Embedding(values=vector) for vector in vectors])


def check_texts(texts: Any, kind: int) -> None:
    """Raises InvalidArgument with every violation of the limits of an embedding."""
    violations: validation.Violations = []
    if not 1 <= len(texts) <= limits.EMBED_TEXTS:
        description = f"has {len(texts)} texts; 1 to {limits.EMBED_TEXTS} are allowed"
        violations.append(FieldViolation("texts", description, validation.LIMIT))
    for index, text in enumerate(texts[: limits.EMBED_TEXTS]):
        if len(text) > limits.EMBED_TEXT_CHARACTERS:
            description = f"has {len(text)} characters; {limits.EMBED_TEXT_CHARACTERS} are allowed"
            violations.append(FieldViolation(f"texts[{index}]", description, validation.LIMIT))
    if kind not in KINDS:
        violations.append(FieldViolation("kind", "must be TEXT_KIND_QUERY or TEXT_KIND_ITEM"))
    validation.require(violations)


class ModelHostClient:
    """Calls the machine of the models; its errors are ours, and a cancelled call is cancelled there."""

    def __init__(self) -> None:
        self._channel: grpc.aio.Channel | None = None

    def connect(self, address: str) -> None:
        """To be called before the first use; apart, as a server's own address is known last of all."""
        options = [("grpc.max_receive_message_length", TRANSPORT_BYTES)]
        self._channel = grpc.aio.insecure_channel(address, options=options)
        self._stub = ModelHostServiceStub(self._channel)

    async def read(self, request: pb.ReadModelRequest, timeout: float | None) -> AsyncIterator[pb.ReadModelResponse]:
        """The stream of ReadModel. Raises NotFound, InvalidArgument or Unavailable."""
        call: Any = self._stub.ReadModel(request, timeout=timeout)
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            _raise(error)
        finally:
            call.cancel()

    async def embed(self, request: pb.EmbedTextsRequest, timeout: float | None) -> pb.EmbedTextsResponse:
        """The answer of EmbedTexts. Raises NotFound, FailedPrecondition, ResourceExhausted or Unavailable."""
        try:
            response: pb.EmbedTextsResponse = await self._stub.EmbedTexts(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            _raise(error)
        return response

    async def close(self) -> None:
        """Closes the channel."""
        if self._channel is not None:
            await self._channel.close()


def _raise(error: grpc.aio.AioRpcError) -> NoReturn:
    """Raises the domain error that the other side raised."""
    message = error.details() or ""
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    status = rpc_status.from_call(error)
    for packed in status.details if status else ():
        packed.Unpack(info)
        packed.Unpack(request)
    reason = info.reason.removeprefix("ERROR_REASON_")
    if request.field_violations:
        raise InvalidArgument(
            [
                FieldViolation(each.field, each.description, each.reason.removeprefix("ERROR_REASON_"))
                for each in request.field_violations
            ]
        ) from error
    if reason and error.code() in ERRORS:
        raise ERRORS[error.code()](reason, message) from error
    raise Unavailable("STORE_UNAVAILABLE", f"the machine of the models: {message}") from error
