"""Readiness: the health name `readiness` follows the store, and the empty name the process."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.servers import InProcessServer, wait_for

from clickstream.servicers import readiness
from clickstream.servicers.server import READINESS

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Store:
    """A store that answers, refuses or hangs, and counts the questions that wait for it."""

    def __init__(self) -> None:
        self.asked = 0
        self.fails = False
        self.answers = threading.Event()
        self.answers.set()

    def ask(self) -> None:
        """Answers, refuses or hangs, as the test has set."""
        self.asked += 1
        self.answers.wait(20)
        if self.fails:
            raise ConnectionError


@pytest.fixture
def store(server: InProcessServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store whose readiness the server publishes, quickly."""
    monkeypatch.setattr(readiness, "PERIOD_SECONDS", 0.02)
    monkeypatch.setattr(readiness, "ANSWER_SECONDS", 0.1)
    store = Store()

    async def begin() -> asyncio.Task[None]:
        return asyncio.create_task(readiness.keep_readiness(server._server, store.ask))

    task = server.run(begin())
    yield store
    store.answers.set()
    server._loop.call_soon_threadsafe(task.cancel)


@pytest.fixture
def status(server: InProcessServer) -> Callable[[str], int]:
    """Asks the health service by name."""
    health = health_pb2_grpc.HealthStub(server.channel)
    return lambda name: health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5).status


def test_a_server_is_not_ready_before_the_store_has_answered(status: Callable[[str], int]) -> None:
    """Before the store's first answer, the process lives and is not ready."""
    assert (status(""), status(READINESS)) == (SERVING, NOT_SERVING)


def test_r20_readiness_follows_the_store_and_liveness_does_not(store: Store, status: Callable[[str], int]) -> None:
    """The server is ready while the store answers and unready while it refuses; the process lives in both cases."""
    wait_for(lambda: status(READINESS) == SERVING)
    store.fails = True
    wait_for(lambda: status(READINESS) == NOT_SERVING)
    assert status("") == SERVING
    store.fails = False
    wait_for(lambda: status(READINESS) == SERVING)


def test_a_store_that_hangs_makes_unready_and_is_asked_once(store: Store, status: Callable[[str], int]) -> None:
    """A store that hangs makes the server unready, and is not asked a second time."""
    wait_for(lambda: status(READINESS) == SERVING)
    store.answers.clear()
    wait_for(lambda: status(READINESS) == NOT_SERVING)
    asked = store.asked
    time.sleep(1)  # ten bounds: a server that asked again would have done so
    assert store.asked == asked
    store.answers.set()
    wait_for(lambda: status(READINESS) == SERVING)
