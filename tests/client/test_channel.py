import asyncio
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import grpc
import pytest
from google.rpc import code_pb2
from support.builders import session, struct
from support.scripted import InMemoryService, first, serving
from support.servers import refused, wait_for

from clickstream.client import AsyncClickstreamClient, ClickstreamClient, channel

# A session larger than gRPC by default keeps for a retry.
LARGE = session("large", objects=[f"o-{n}" for n in range(60)])
for result in LARGE.results:
    result.meta.CopyFrom(struct(text="x" * 10_000))


@pytest.mark.parametrize("sent", [session(), LARGE], ids=["small", "large"])
def test_r1_grpc_retries_unavailable(
    sent: object, scripted: InMemoryService, scripted_address: str, make_client: Callable[..., ClickstreamClient]
) -> None:
    """R1: gRPC alone, by the service config, repeats a direct call after four UNAVAILABLE answers, also a large one."""
    scripted.faults.append(first(4))
    assert make_client(scripted_address, timeout=20).create_session(sent).created
    assert len(scripted.requests) == 5
    assert len(scripted.sessions) == 1


def test_r1_grpc_retries_in_asyncio_too(scripted: InMemoryService, scripted_address: str) -> None:
    """R1: the asyncio channel has the same service config."""
    scripted.faults.append(first(2))

    async def main() -> bool:
        async with AsyncClickstreamClient(scripted_address, timeout=20) as client:
            return (await client.create_session(session())).created

    assert asyncio.run(main())
    assert len(scripted.requests) == 3


def test_grpc_gives_up_after_five_attempts(
    scripted: InMemoryService, scripted_address: str, make_client: Callable[..., ClickstreamClient]
) -> None:
    """A direct call ends with UNAVAILABLE after five attempts."""
    scripted.faults.append(first(100))
    error = refused(make_client(scripted_address, timeout=20).create_session, session())
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert len(scripted.requests) == 5


@pytest.mark.parametrize("code", [code_pb2.RESOURCE_EXHAUSTED, code_pb2.INVALID_ARGUMENT, code_pb2.ALREADY_EXISTS])
def test_grpc_retries_nothing_else(
    code: int, scripted: InMemoryService, scripted_address: str, make_client: Callable[..., ClickstreamClient]
) -> None:
    """Any other status reaches the caller of a direct call after one attempt."""
    scripted.faults.append(first(1, code, "ANY"))
    error = refused(make_client(scripted_address).create_session, session())
    assert error.code().value[0] == code
    assert len(scripted.requests) == 1


# An empty HTTP/2 SETTINGS frame and the acknowledgement of the client's frame: they make a connection ready.
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0])


@pytest.fixture
def faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divides all times of a channel by twenty."""
    options = [(name, value // 20 if name.endswith("_ms") else value) for name, value in channel.OPTIONS]
    monkeypatch.setattr(channel, "OPTIONS", options)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listening socket on which a test itself plays the server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        yield listener


@pytest.fixture
def states(listener: socket.socket) -> Iterator[list[grpc.ChannelConnectivity]]:
    """The states of a channel that connects to the listener, in their order."""
    states: list[grpc.ChannelConnectivity] = []
    with channel.open_channel(f"127.0.0.1:{listener.getsockname()[1]}", None, retries=False) as opened:
        opened.subscribe(states.append, try_to_connect=True)
        yield states


@pytest.mark.usefixtures("faster")
def test_a_silent_server_is_noticed(listener: socket.socket, states: list[grpc.ChannelConnectivity]) -> None:
    """The channel closes a connection on which the server is silent for 40 s, also while no call runs."""
    server, _ = listener.accept()
    with server:
        server.sendall(SETTINGS)
        wait_for(lambda: grpc.ChannelConnectivity.READY in states)
        wait_for(lambda: states[-1] is not grpc.ChannelConnectivity.READY)


@pytest.mark.usefixtures("states")
def test_a_server_that_restarts_is_dialled_at_once(listener: socket.socket) -> None:
    """The first pauses between attempts to connect are shorter than the time in which gRPC repeats a call."""
    began = time.monotonic()
    for _ in range(3):
        listener.accept()[0].close()
    assert time.monotonic() - began < 1.5


@pytest.mark.usefixtures("faster", "states")
def test_a_server_that_is_away_is_dialled_every_few_seconds(listener: socket.socket) -> None:
    """The pauses between attempts to connect stay at a few seconds, however long the server is away."""
    began = time.monotonic()
    for _ in range(15):
        listener.accept()[0].close()
    assert time.monotonic() - began < 20


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A key and a certificate of localhost."""
    folder = tmp_path_factory.mktemp("tls")
    made = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out certificate -days 1 -subj /CN=localhost"
    subprocess.run(
        [*made.split(), "-addext", "subjectAltName=DNS:localhost"], cwd=folder, check=True, capture_output=True
    )
    return (folder / "key").read_bytes(), (folder / "certificate").read_bytes()


@pytest.mark.parametrize("address", ["http://host:50051", "grpc://host:50051", "https://host", "host", "", "my host:1"])
@pytest.mark.parametrize("credentials", [None, grpc.ssl_channel_credentials()], ids=["plain", "tls"])
def test_an_address_that_cannot_be_meant_is_refused_at_once(
    address: str, credentials: grpc.ChannelCredentials | None
) -> None:
    """Both clients and a bare channel raise ValueError, which names the address, before anything is queued or sent."""

    async def awaited() -> None:
        AsyncClickstreamClient(address, credentials=credentials)

    for make in (
        lambda: ClickstreamClient(address, credentials=credentials),
        lambda: asyncio.run(awaited()),
        lambda: channel.open_channel(address, credentials),
    ):
        before = threading.active_count()
        with pytest.raises(ValueError, match=re.escape(repr(address))):
            make()
        assert threading.active_count() == before


def test_credentials_are_used_for_all_calls(
    scripted: InMemoryService, certificate: tuple[bytes, bytes], make_client: Callable[..., ClickstreamClient]
) -> None:
    """R19: with credentials, direct, queued and asyncio calls reach a port that accepts TLS only."""
    credentials = grpc.ssl_channel_credentials(certificate[1])
    with serving(scripted, credentials=grpc.ssl_server_credentials([certificate])) as address:
        address = address.replace("127.0.0.1", "localhost")
        client = make_client(address, credentials=credentials)
        client.create_session(session("s-1"))
        client.register(session("s-2"))
        assert client.flush(20)

        async def main() -> None:
            async with AsyncClickstreamClient(address, credentials=credentials) as client:
                await client.create_session(session("s-3"))

        asyncio.run(main())
    assert set(scripted.sessions) == {"s-1", "s-2", "s-3"}
