"""Calls the machine that holds the models."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from embedding_studio.clickstream.internal.v1 import model_host_service_pb2 as pb
from embedding_studio.clickstream.internal.v1.model_host_service_pb2_grpc import ModelHostServiceStub
from embedding_studio.clickstream.v1 import model_service_pb2

from clickstream.contract.statuses import raise_domain_error
from clickstream.trainer_client.channel import open_channel


class ModelHostClient:
    """Calls the machine of the models. Its errors become domain errors, and a cancelled call is cancelled there."""

    def __init__(self) -> None:
        self._channel: grpc.aio.Channel | None = None

    def connect(self, address: str) -> None:
        """Sets the trainer's address, before the first use: a server knows its own address only when it is bound."""
        self._channel = open_channel(address)
        self._stub = ModelHostServiceStub(self._channel)

    async def read(self, request: pb.ReadModelRequest, timeout: float | None) -> AsyncIterator[pb.ReadModelResponse]:
        """The stream of ReadModel. Raises NotFound, InvalidArgument or Unavailable."""
        call: Any = self._stub.ReadModel(request, timeout=timeout)
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise_domain_error(error)
        finally:
            call.cancel()

    async def embed(self, request: pb.EmbedTextsRequest, timeout: float | None) -> pb.EmbedTextsResponse:
        """The answer of EmbedTexts. Raises NotFound, FailedPrecondition, ResourceExhausted or Unavailable."""
        try:
            response: pb.EmbedTextsResponse = await self._stub.EmbedTexts(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise_domain_error(error)
        return response

    async def load(self, model_version_id: str, timeout: float | None) -> None:
        """Makes the trainer load a version and embed a text with it. Raises as `embed` does."""
        probe = pb.EmbedTextsRequest(
            model_version_id=model_version_id, texts=["a"], kind=model_service_pb2.TEXT_KIND_QUERY
        )
        await self.embed(probe, timeout)

    async def close(self) -> None:
        """Closes the channel."""
        if self._channel is not None:
            await self._channel.close()
