"""When a worker looks for work."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from clickstream.domain.errors import Reason, Unavailable
from clickstream.workers import wake_signal
from clickstream.workers.wake_signal import Waking

PATIENCE = 30
NEVER = 3_600.0


class Stream:
    """Changes as a test tells them; each loss ends the stream with an error."""

    def __init__(self, *, losses: int = 0, tells: bool = True) -> None:
        self._losses = losses
        self._tells = tells
        self.change = threading.Event()
        self.ended = threading.Event()
        self.opened = 0

    def follow(self, told: Callable[[], None], is_stopped: Callable[[], bool]) -> bool:
        if not self._tells:
            return False
        self.opened += 1
        told()
        if self.opened <= self._losses:
            raise Unavailable(Reason.STORE_UNAVAILABLE, "the primary is gone")
        while not is_stopped():
            if self.change.wait(0.01):
                self.change.clear()
                told()
        self.ended.set()
        return True


@pytest.fixture(autouse=True)
def no_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is told wakes, and a lost stream is opened again at once."""
    monkeypatch.setattr(wake_signal, "POLL_SECONDS", NEVER)
    monkeypatch.setattr(wake_signal, "FOLLOWED_POLL_SECONDS", NEVER)
    monkeypatch.setattr(wake_signal, "REOPEN_SECONDS", 0.01)


async def followed(stream: Stream, scenario: Callable[[Waking], object]) -> None:
    """Runs a scenario beside a worker's stream, and ends both."""
    made = Waking()
    following = asyncio.create_task(made.follow(stream))
    try:
        await asyncio.wait_for(scenario(made), PATIENCE)  # type: ignore[arg-type]
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def test_a_change_wakes_the_worker() -> None:
    """The worker looks when the stream begins, and when it is told of a change, without polling."""
    stream = Stream()

    async def scenario(made: Waking) -> None:
        await made.wait()
        stream.change.set()
        await made.wait()

    asyncio.run(followed(stream, scenario))
    assert stream.ended.wait(PATIENCE)


def test_a_lost_stream_is_opened_again_and_the_worker_looks() -> None:
    """After each loss the worker looks once more, as something may have been missed."""
    stream = Stream(losses=2)

    async def scenario(made: Waking) -> None:
        while stream.opened < 3:
            await made.wait()
        stream.change.set()
        await made.wait()

    asyncio.run(followed(stream, scenario))


def test_without_changes_the_worker_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store tells of nothing, the worker looks every so often."""
    monkeypatch.setattr(wake_signal, "POLL_SECONDS", 0.01)

    async def scenario(made: Waking) -> None:
        for _ in range(3):
            await made.wait()

    asyncio.run(followed(Stream(tells=False), scenario))


def test_what_time_brings_is_found_where_changes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The age of a batch is no change: the worker also looks every so often while it follows the stream."""
    monkeypatch.setattr(wake_signal, "FOLLOWED_POLL_SECONDS", 0.01)

    async def scenario(made: Waking) -> None:
        for _ in range(3):
            await made.wait()

    asyncio.run(followed(Stream(), scenario))


def test_a_worker_looks_at_the_moment_that_it_names() -> None:
    """A wait ends after the seconds that are asked for, also if these are over, and at a change before."""
    stream = Stream()

    async def scenario(made: Waking) -> None:
        await made.wait()
        await made.wait(0.01)
        await made.wait(-1)
        stream.change.set()
        await made.wait(NEVER)

    asyncio.run(followed(stream, scenario))


def test_a_change_during_a_look_is_not_lost() -> None:
    """A worker that is woken while it looks looks once more."""

    async def scenario() -> None:
        made = Waking()
        made.wake()
        await made.wait()
        made.wake()  # while the worker looks
        await asyncio.wait_for(made.wait(), PATIENCE)

    asyncio.run(scenario())


def test_r20_a_change_at_the_moment_of_stopping_does_not_keep_the_worker() -> None:
    """R20: a worker that is woken and stopped at once stops."""

    async def look(made: Waking) -> None:
        while True:
            await made.wait()

    async def scenario() -> None:
        made = Waking()
        working = asyncio.create_task(look(made))
        await asyncio.sleep(0.01)
        made.wake()
        await asyncio.sleep(0)  # the change has arrived, the worker has not gone on yet
        working.cancel()
        assert await asyncio.wait({working}, timeout=1) == ({working}, set())

    asyncio.run(scenario())
