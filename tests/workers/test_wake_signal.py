"""When a worker looks for work: woken by changes, at named moments, and by polling."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from support.servers import until

from clickstream.domain.errors import Reason, Unavailable
from clickstream.workers import wake_signal
from clickstream.workers.wake_signal import WakeSignal

PATIENCE = 30
NEVER = 3_600.0


class Stream:
    """A stream of changes that a test reports; each loss ends it with an error."""

    def __init__(self, *, losses: int = 0, reports_changes: bool = True) -> None:
        self._losses = losses
        self._reports_changes = reports_changes
        self.change = threading.Event()
        self.ended = threading.Event()
        self.opened = 0

    def follow(self, on_change: Callable[[], None], is_stopped: Callable[[], bool]) -> bool:
        if not self._reports_changes:
            return False
        self.opened += 1
        on_change()
        if self.opened <= self._losses:
            raise Unavailable(Reason.STORE_UNAVAILABLE, "the primary is gone")
        while not is_stopped():
            if self.change.wait(0.01):
                self.change.clear()
                on_change()
        self.ended.set()
        return True


@pytest.fixture(autouse=True)
def no_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only reported changes wake, and a lost stream is opened again at once."""
    monkeypatch.setattr(wake_signal, "POLL_SECONDS", NEVER)
    monkeypatch.setattr(wake_signal, "FOLLOWED_POLL_SECONDS", NEVER)
    monkeypatch.setattr(wake_signal, "REOPEN_SECONDS", 0.01)


async def followed(stream: Stream, scenario: Callable[[WakeSignal], object]) -> None:
    """Runs a scenario while a signal follows the stream, and ends both."""
    made = WakeSignal()
    following = asyncio.create_task(made.follow(stream))
    try:
        await asyncio.wait_for(scenario(made), PATIENCE)  # type: ignore[arg-type]
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def test_a_change_wakes_the_worker() -> None:
    """The worker looks when the stream begins and at each reported change, without polling."""
    stream = Stream()

    async def scenario(made: WakeSignal) -> None:
        await made.wait()
        stream.change.set()
        await made.wait()

    asyncio.run(followed(stream, scenario))
    assert stream.ended.wait(PATIENCE)


def test_a_lost_stream_is_opened_again_and_the_worker_looks() -> None:
    """After each loss of the stream the worker looks once more, because it may have missed a change."""
    stream = Stream(losses=2)

    async def scenario(made: WakeSignal) -> None:
        while stream.opened < 3:
            await made.wait()
        stream.change.set()
        await made.wait()

    asyncio.run(followed(stream, scenario))


def test_without_changes_the_worker_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the store reports no changes, the worker polls."""
    monkeypatch.setattr(wake_signal, "POLL_SECONDS", 0.01)

    async def scenario(made: WakeSignal) -> None:
        for _ in range(3):
            await made.wait()

    asyncio.run(followed(Stream(reports_changes=False), scenario))


def test_while_the_stream_is_lost_the_worker_polls(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Between the loss of the stream and its reopening the worker polls as often as without a stream."""
    monkeypatch.setattr(wake_signal, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(wake_signal, "REOPEN_SECONDS", NEVER)

    async def scenario(made: WakeSignal) -> None:
        await until(lambda: caplog.records)  # the loss is logged
        for _ in range(3):
            await made.wait()

    asyncio.run(followed(Stream(losses=1), scenario))


def test_age_based_work_is_found_while_changes_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The age of a batch is no change: the worker also polls while it follows the stream."""
    monkeypatch.setattr(wake_signal, "FOLLOWED_POLL_SECONDS", 0.01)

    async def scenario(made: WakeSignal) -> None:
        for _ in range(3):
            await made.wait()

    asyncio.run(followed(Stream(), scenario))


def test_a_worker_looks_at_the_moment_that_it_names() -> None:
    """A wait ends after the given seconds, at once if they are negative, and earlier at a change."""
    stream = Stream()

    async def scenario(made: WakeSignal) -> None:
        await made.wait()
        await made.wait(0.01)
        await made.wait(-1)
        stream.change.set()
        await made.wait(NEVER)

    asyncio.run(followed(stream, scenario))


def test_a_change_during_a_look_is_not_lost() -> None:
    """A worker that is woken during a look looks once more."""

    async def scenario() -> None:
        made = WakeSignal()
        made.wake()
        await made.wait()
        made.wake()  # while the worker looks
        await asyncio.wait_for(made.wait(), PATIENCE)

    asyncio.run(scenario())


def test_r20_a_change_at_the_moment_of_stopping_does_not_keep_the_worker() -> None:
    """R20: a worker that is woken and stopped at the same moment stops."""

    async def look(made: WakeSignal) -> None:
        while True:
            await made.wait()

    async def scenario() -> None:
        made = WakeSignal()
        working = asyncio.create_task(look(made))
        await asyncio.sleep(0.01)
        made.wake()
        await asyncio.sleep(0)  # the change has arrived, the worker has not gone on yet
        working.cancel()
        assert await asyncio.wait({working}, timeout=1) == ({working}, set())

    asyncio.run(scenario())
