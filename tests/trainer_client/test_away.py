"""A trainer that is away, or that falls silent."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from embedding_studio.clickstream.internal.v1 import model_host_service_pb2 as pb
from support.builders import training_run
from support.servers import listed

from clickstream.domain.errors import Reason, Unavailable
from clickstream.trainer_client import channel
from clickstream.trainer_client.channel import TrainerAddress
from clickstream.trainer_client.fine_tuning import FineTuningClient
from clickstream.trainer_client.model_host import ModelHostClient

# An empty SETTINGS frame of HTTP/2 and the acknowledgement of the client's: enough for a connection to be ready.
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0])
NO_TRAINER = "127.0.0.1:1"
Call = Callable[[str], Any]


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[ModelHostClient]:
    """A client of the machine that holds the models."""
    host = ModelHostClient()
    host.connect(TrainerAddress(address))
    try:
        yield host
    finally:
        await host.close()


async def fine_tune(address: str) -> None:
    """Trains on nothing."""
    client = FineTuningClient(TrainerAddress(address))
    try:
        async for _ in client.fine_tune("run-1", training_run().settings, listed([]), [], 0):
            pass
    finally:
        await client.close()


async def embed(address: str) -> None:
    """Embeds a text."""
    async with connected(address) as host:
        await host.embed(pb.EmbedTextsRequest(texts=["a"]), None)


async def read(address: str) -> None:
    """Reads a model's files."""
    async with connected(address) as host:
        async for _ in host.read(pb.ReadModelRequest(model_version_id="m"), None):
            pass


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that a test answers on itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        yield listener


@pytest.mark.parametrize("call", [fine_tune, embed, read])
def test_an_absent_trainer_is_not_reported_as_the_store(call: Call) -> None:
    """Where nobody listens, every call on the trainer says that the trainer does not answer, and when to retry."""
    with pytest.raises(Unavailable) as caught:
        asyncio.run(call(NO_TRAINER))
    assert caught.value.reason is Reason.TRAINER_UNAVAILABLE
    assert caught.value.retry_after > 0


@pytest.mark.parametrize("call", [fine_tune, embed, read])
def test_a_silent_trainer_is_noticed(call: Call, listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call without a deadline ends within 30 s of silence; here all times are twenty times shorter."""
    options = [(name, value // 20 if name.endswith("_ms") else value) for name, value in channel.OPTIONS]
    monkeypatch.setattr(channel, "OPTIONS", options)

    async def scenario() -> None:
        calling = asyncio.create_task(call(f"127.0.0.1:{listener.getsockname()[1]}"))
        server, _ = await asyncio.to_thread(listener.accept)
        with server:
            server.sendall(SETTINGS)
            await asyncio.wait_for(calling, 10)

    with pytest.raises(Unavailable) as caught:
        asyncio.run(scenario())
    assert caught.value.reason is Reason.TRAINER_UNAVAILABLE
