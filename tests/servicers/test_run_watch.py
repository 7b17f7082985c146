"""Watching training runs (R16, R20, R21)."""

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import grpc
import pytest
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from embedding_studio.clickstream.v1 import training_service_pb2 as pb
from support.builders import NOW, SECOND, model_version, training_run
from support.servers import InProcessServer, refused, until, wait_for

from clickstream.domain.errors import NotFound, Reason, Unavailable
from clickstream.domain.runs import Phase, RunState, TrainingProgress, TrainingRun
from clickstream.servicers import run_watch
from clickstream.servicers.run_watch import RunWatch

WATCHERS = 300
REQUEST = pb.WatchTrainingRunRequest(run_id="run-1")


class Store:
    """Runs that a test changes, and how often each was read."""

    def __init__(self) -> None:
        self.runs = {run_id: training_run(run_id) for run_id in ("run-1", "run-2")}
        self.reads: Counter[str] = Counter()
        self.down = False
        self.open = threading.Event()
        self.open.set()

    def get(self, run_id: str) -> TrainingRun:
        """The run as it is once the store is open."""
        self.reads[run_id] += 1
        assert self.open.wait(20)
        if self.down:
            raise Unavailable(Reason.STORE_UNAVAILABLE, "down")
        if run_id not in self.runs:
            raise NotFound(Reason.TRAINING_RUN_NOT_FOUND, "no such run")
        return self.runs[run_id]

    def end(self, run_id: str) -> None:
        """Lets a run succeed."""
        self.runs[run_id] = replace(self.runs[run_id], state=RunState.SUCCEEDED, reason="well")


@pytest.fixture
def store() -> Store:
    """Two queued runs."""
    return Store()


async def states(watch: RunWatch, run_id: str) -> list[str]:
    """What a watcher sees until the end."""
    return [runs_pb.TrainingRunState.Name(each.run.state)[19:] async for each in watch.changes(run_id)]


def test_r16_hundreds_of_watchers_ask_the_store_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """R16: after its first look, every watcher of a run shares one look per interval, and all see the end."""
    monkeypatch.setattr(run_watch, "WATCH_SECONDS", 0.05)
    watch = RunWatch(store.get)

    async def scenario() -> list[list[str]]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(WATCHERS))  # none has to wait for a thread
        watchers = [asyncio.create_task(states(watch, f"run-{1 + number % 2}")) for number in range(WATCHERS)]
        await until(lambda: sum(store.reads.values()) > WATCHERS + 1)  # every first look, and a shared one of each run
        store.open.clear()  # all come by while one look is under way
        before = store.reads.copy()
        await until(lambda: all(store.reads[run_id] > before[run_id] for run_id in store.runs))
        await asyncio.sleep(4 * run_watch.WATCH_SECONDS)
        assert all(store.reads[run_id] <= before[run_id] + 5 for run_id in store.runs)
        for run_id in store.runs:
            store.end(run_id)
        store.open.set()
        return await asyncio.gather(*watchers)

    assert asyncio.run(scenario()) == [["QUEUED", "SUCCEEDED"]] * WATCHERS


def test_r16_the_first_look_sees_what_was_written_before(store: Store) -> None:
    """R16: a watch that begins after a write shows it, also if another watcher has just looked."""
    watch = RunWatch(store.get)

    async def scenario() -> None:
        watching = asyncio.create_task(states(watch, "run-1"))
        await until(lambda: store.reads["run-1"] == 2)
        store.end("run-1")
        assert await states(watch, "run-1") == ["SUCCEEDED"]
        assert await watching == ["QUEUED", "SUCCEEDED"]

    asyncio.run(scenario())


def test_r21_a_canceled_watcher_does_not_end_a_shared_look(store: Store, monkeypatch) -> None:
    """R21: the watcher that began a shared look is cancelled during it; the other watcher gets its result."""
    monkeypatch.setattr(run_watch, "WATCH_SECONDS", 0.02)
    watch = RunWatch(store.get)

    async def scenario() -> None:
        one = asyncio.create_task(states(watch, "run-1"))
        await until(lambda: store.reads["run-1"])
        other = asyncio.create_task(states(watch, "run-1"))
        await until(lambda: store.reads["run-1"] >= 3)
        store.open.clear()
        seen = store.reads["run-1"]
        await until(lambda: store.reads["run-1"] > seen)
        one.cancel()
        store.end("run-1")
        store.open.set()
        assert await other == ["QUEUED", "SUCCEEDED"]

    asyncio.run(scenario())


def test_r16_an_outage_ends_every_watch_and_the_next_watch_works(store: Store, monkeypatch) -> None:
    """R3: an outage ends every watch with its error; a new watch does not get the failed look."""
    monkeypatch.setattr(run_watch, "WATCH_SECONDS", 0.02)
    watch = RunWatch(store.get)

    async def scenario() -> None:
        watching = [asyncio.create_task(states(watch, "run-1")) for _ in range(3)]
        await until(lambda: store.reads["run-1"] > 3)
        store.down = True
        ended = await asyncio.gather(*watching, return_exceptions=True)
        assert [type(error) for error in ended] == [Unavailable] * 3
        store.down = False
        store.end("run-1")
        assert await states(watch, "run-1") == ["SUCCEEDED"]

    asyncio.run(scenario())


@pytest.fixture
def watched(server: InProcessServer) -> InProcessServer:
    """A server with a run that a worker has leased."""
    server.dao.runs.create(training_run())
    server.dao.runs.claim("me", NOW, NOW + 60 * SECOND)
    return server


def test_r16_a_watch_shows_what_is_measured_and_then_the_end(watched: InProcessServer) -> None:
    """R16: a watch shows metrics as soon as they are stored, and last the run as it ended."""
    watch = watched.training.WatchTrainingRun(REQUEST)
    assert not next(watch).run.progress.metrics
    measured = TrainingProgress(Phase.TRAINING, metrics={"base_ndcg_at_10": 0.25})
    watched.dao.runs.renew("run-1", "me", NOW + 60 * SECOND, measured)
    assert next(watch).run.progress.metrics == {"base_ndcg_at_10": 0.25}
    version = model_version()
    watched.dao.runs.finish("run-1", "me", RunState.SUCCEEDED, "well", version, NOW)
    *_, last = watch
    assert (last.run.state, last.run.model_version.gate_passed) == (runs_pb.TRAINING_RUN_STATE_SUCCEEDED, True)


def test_r21_watchers_end_with_their_deadline_and_by_cancelling(watched: InProcessServer) -> None:
    """R21: a deadline or a cancel ends a watch, and neither the run nor another watch."""
    other = watched.training.WatchTrainingRun(REQUEST)
    next(other)
    late = watched.training.WatchTrainingRun(REQUEST, timeout=0.3)
    assert refused(lambda: late).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    canceled = watched.training.WatchTrainingRun(REQUEST)
    next(canceled)
    canceled.cancel()
    watched.dao.runs.finish("run-1", "me", RunState.FAILED, "ill", None, NOW)
    assert [each.run.state for each in other] == [runs_pb.TRAINING_RUN_STATE_FAILED]


def test_r20_a_drain_ends_every_watch_with_unavailable(watched: InProcessServer) -> None:
    """R20: a stopping server ends every watch with UNAVAILABLE, also while the run continues."""
    began = threading.Semaphore(0)

    def code() -> grpc.StatusCode:
        watch = watched.training.WatchTrainingRun(REQUEST)
        next(watch)
        began.release()
        return refused(lambda: watch).code()

    with ThreadPoolExecutor(8) as pool:
        watching = [pool.submit(code) for _ in range(8)]
        wait_for(lambda: began._value == 8)
        watched.drain().result(20)
        assert {each.result() for each in watching} == {grpc.StatusCode.UNAVAILABLE}
