import asyncio
import subprocess
from collections.abc import Callable

import grpc
import pytest
from google.rpc import code_pb2
from support.builders import session, struct
from support.scripted import InMemoryService, first, serving
from support.serving import refused

from clickstream.client import AsyncClickstreamClient, ClickstreamClient

# More than gRPC keeps for a retry by default.
LARGE = session("large", objects=[f"o-{n}" for n in range(60)])
for result in LARGE.results:
    result.meta.CopyFrom(struct(text="x" * 10_000))


@pytest.mark.parametrize("sent", [session(), LARGE], ids=["small", "large"])
def test_grpc_retries_what_was_unavailable(
    sent: object, scripted: InMemoryService, scripted_address: str, make_client: Callable[..., ClickstreamClient]
) -> None:
    """R1: a direct call survives four UNAVAILABLE answers by the service config alone, large sessions too."""
    scripted.faults.append(first(4))
    assert make_client(scripted_address, timeout=20).create_session(sent).created
    assert len(scripted.requests) == 5
    assert len(scripted.sessions) == 1


def test_grpc_retries_in_asyncio_too(scripted: InMemoryService, scripted_address: str) -> None:
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
    """A direct call ends with UNAVAILABLE when five attempts met it."""
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


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A key and a certificate of localhost."""
    folder = tmp_path_factory.mktemp("tls")
    made = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out certificate -days 1 -subj /CN=localhost"
    subprocess.run(
        [*made.split(), "-addext", "subjectAltName=DNS:localhost"], cwd=folder, check=True, capture_output=True
    )
    return (folder / "key").read_bytes(), (folder / "certificate").read_bytes()


def test_credentials_are_used_for_all_calls(
    scripted: InMemoryService, certificate: tuple[bytes, bytes], make_client: Callable[..., ClickstreamClient]
) -> None:
    """R19: with credentials, direct, queued and asyncio calls reach a port that speaks TLS only."""
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
