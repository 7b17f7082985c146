"""The client of ModelHostService."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from typing import Any

import grpc
from embedding_studio.clickstream.internal.v1 import model_host_service_pb2 as pb
from embedding_studio.clickstream.internal.v1.model_host_service_pb2_grpc import ModelHostServiceStub
from embedding_studio.clickstream.v1 import model_service_pb2

from clickstream.contract.statuses import raise_domain_error
from clickstream.trainer_client.channel import Connection, TrainerAddress, TrainerChannel


class ModelHostClient:
    """Calls the machine that has the models.

    Its errors are raised as domain errors. Cancelling a call also cancels it on that machine. Timeouts are in
    seconds; None means no limit.
    """

    def __init__(self) -> None:
        self.channel: TrainerChannel | None = None

    def connect(self, trainer: TrainerAddress) -> None:
        """Opens the channel. Call it before the first use. Raises ValueError if the address cannot be used.

        It is apart from `__init__`: in a process that also trains, the address is the server's own, which is
        known only after its servicers are made.
        """
        self.channel = TrainerChannel(trainer)

    @property
    def channels(self) -> list[TrainerChannel]:
        """The open channel, if there is one."""
        return [self.channel] if self.channel else []

    async def read(self, request: pb.ReadModelRequest, timeout: float | None) -> AsyncIterator[pb.ReadModelResponse]:
        """The stream of ReadModel. Raises NotFound, InvalidArgument or Unavailable."""
        with self._connection() as (channel, metadata):
            call: Any = ModelHostServiceStub(channel).ReadModel(request, timeout=timeout, metadata=metadata)
            try:
                async for response in call:
                    yield response
            except grpc.aio.AioRpcError as error:
                raise_domain_error(error)
            finally:
                call.cancel()

    async def embed(self, request: pb.EmbedTextsRequest, timeout: float | None) -> pb.EmbedTextsResponse:
        """The answer of EmbedTexts. Raises NotFound, FailedPrecondition, ResourceExhausted or Unavailable."""
        with self._connection() as (channel, metadata):
            call: Any = ModelHostServiceStub(channel).EmbedTexts(request, timeout=timeout, metadata=metadata)
            try:
                response: pb.EmbedTextsResponse = await call
            except grpc.aio.AioRpcError as error:
                raise_domain_error(error)
        return response

    def _connection(self) -> AbstractContextManager[Connection]:
        assert self.channel is not None, "connect comes first"
        return self.channel.connection()

    async def load(self, model_version_id: str, timeout: float | None) -> None:
        """Makes the machine load a version and embed one text with it. Raises as `embed` does."""
        probe = pb.EmbedTextsRequest(
            model_version_id=model_version_id, texts=["a"], kind=model_service_pb2.TEXT_KIND_QUERY
        )
        await self.embed(probe, timeout)

    async def close(self) -> None:
        """Closes the channel."""
        if self.channel is not None:
            await self.channel.close()
