"""Fixtures of the client's tests: the real server at the present time, and a server whose faults a test chooses."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from support.memory_store import MemoryDao
from support.scripted import InMemoryService, serving
from support.servers import InProcessServer

from clickstream.client import ClickstreamClient


@pytest.fixture
def server(memory_dao: MemoryDao) -> Iterator[InProcessServer]:
    """A running server over the store in memory, with the same clock as the client."""
    with InProcessServer(memory_dao, lambda: datetime.now(UTC)) as server:
        yield server


@pytest.fixture
def scripted() -> InMemoryService:
    """The service behind `scripted_address`."""
    return InMemoryService()


@pytest.fixture
def scripted_address(scripted: InMemoryService) -> Iterator[str]:
    """The address of the scripted service."""
    with serving(scripted) as address:
        yield address


@pytest.fixture
def make_client() -> Iterator[Callable[..., ClickstreamClient]]:
    """Makes clients. At the end they close at once, without sending what waits."""
    made: list[ClickstreamClient] = []

    def make(address: str, **options: object) -> ClickstreamClient:
        made.append(ClickstreamClient(address, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for client in made:
        client.close(timeout=0)
