"""ModelHostService: reads model versions and embeds texts, on the machine that has the models."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from embedding_studio.clickstream.internal.v1 import model_host_service_pb2 as pb
from embedding_studio.clickstream.internal.v1.model_host_service_pb2_grpc import ModelHostServiceServicer
from embedding_studio.clickstream.v1 import model_service_pb2
from typing_extensions import override

from clickstream.models.embedding_queue import EmbeddingQueue
from clickstream.models.files import ModelFiles
from clickstream.models.folders import model_folder
from clickstream.servicers.boundary import Context
from clickstream.servicers.checks.texts import KINDS, check_texts
from clickstream.servicers.slow_reads import slow_read


class ModelHostServicer(ModelHostServiceServicer):
    """Reads the model folders under `models`, and embeds with their models."""

    def __init__(self, models: Path, embedding: EmbeddingQueue) -> None:
        self._models = models
        self._embedding = embedding

    @override
    async def ReadModel(self, request: pb.ReadModelRequest, context: Context) -> AsyncIterator[pb.ReadModelResponse]:
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
        while (chunk := await slow_read(next, chunks, None)) is not None:
            message = model_service_pb2.ModelChunk(file_name=chunk.file_name, offset=chunk.offset, data=chunk.data)
            yield pb.ReadModelResponse(chunk=message)

    @override
    async def EmbedTexts(self, request: pb.EmbedTextsRequest, context: Context) -> pb.EmbedTextsResponse:
        check_texts(request.texts, request.kind)
        vectors = await self._embedding.embed(request.model_version_id, KINDS[request.kind], list(request.texts))
        return pb.EmbedTextsResponse(embeddings=[model_service_pb2.Embedding(values=vector) for vector in vectors])
