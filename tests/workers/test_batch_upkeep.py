"""Batch work of the workers: freeing, releasing and archiving (R10)."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime, timedelta

import pytest
from pymongo.database import Database
from support.builders import NOW, session_draft, session_drafts, training_run
from support.memory_store import MemoryDao
from support.servers import PATIENCE, Clock

from clickstream.dao.interface.store import ClickstreamDao
from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.batches import Batch, BatchRules, BatchStatus
from clickstream.domain.errors import ClickstreamError
from clickstream.domain.runs import RunState
from clickstream.workers import batch_upkeep
from clickstream.workers.batch_upkeep import BatchUpkeep

MINUTE = timedelta(minutes=1)
BY_SIZE = BatchRules(release_sessions=3)
BY_AGE = BatchRules(release_age=MINUTE)


def statuses(dao: ClickstreamDao) -> list[str]:
    """The statuses of all batches, the oldest first."""
    return [batch.status for batch in reversed(dao.batches.list(None, 1_000, frozenset()))]


def test_by_default_nothing_is_released_or_archived(memory_dao: MemoryDao, clock: Clock) -> None:
    """Without rules, workers release and archive no batch, however large and old it is."""
    memory_dao.sessions.append(session_drafts(50))
    clock.forward(1e6)
    BatchUpkeep(memory_dao, BatchRules(), clock).run_once()
    assert statuses(memory_dao) == ["collecting"]


def test_r10_a_batch_of_enough_sessions_is_released(memory_dao: MemoryDao, clock: Clock) -> None:
    """R10: the collecting batch is released when it has enough sessions and not before; the next one stays open."""
    life = BatchUpkeep(memory_dao, BY_SIZE, clock)
    memory_dao.sessions.append(session_drafts(2))
    life.run_once()
    assert statuses(memory_dao) == ["collecting"]
    memory_dao.sessions.append([session_draft("third")])
    for _ in range(2):
        life.run_once()
    assert statuses(memory_dao) == ["released", "collecting"]
    assert memory_dao.batches.get(1).release_id.startswith("auto-batch-1-")


def test_r10_a_worker_that_comes_late_leaves_the_next_batch_alone(
    memory_dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R10: if a scheduler releases a batch just before a worker does, the worker does not release the next one."""
    memory_dao.sessions.append(session_drafts(3))
    release = memory_dao.batches.release

    def late(release_id: str, sequence: int | None, at: datetime) -> Batch:
        release("scheduler", None, at)
        memory_dao.sessions.append([session_draft("next")])
        return release(release_id, sequence, at)

    monkeypatch.setattr(memory_dao.batches, "release", late)
    BatchUpkeep(memory_dao, BY_SIZE, clock).run_once()
    assert statuses(memory_dao) == ["released", "collecting"]
    assert memory_dao.batches.get(1).release_id == "scheduler"


def test_r10_a_batch_is_released_some_time_after_its_first_session(memory_dao: MemoryDao, clock: Clock) -> None:
    """R10: age counts from the first session, in every batch, and an empty batch is never released."""
    life = BatchUpkeep(memory_dao, BY_AGE, clock)
    for batch in (1, 2):
        clock.forward(3_600)
        life.run_once()
        assert statuses(memory_dao)[batch - 1] == "collecting"
        memory_dao.sessions.append([session_draft(f"s-{batch}", at=clock())])
        clock.forward(59)
        life.run_once()
        assert statuses(memory_dao)[batch - 1] == "collecting"
        clock.forward(1)
        life.run_once()
        assert statuses(memory_dao)[batch - 1] == "released"


def test_r10_a_session_that_is_dated_back_makes_no_batch_old(memory_dao: MemoryDao, clock: Clock) -> None:
    """R5, R10: a client's `created_at` from before the batch opened does not count."""
    memory_dao.sessions.append(session_drafts(1))
    memory_dao.batches.release("r-1", None, clock())
    memory_dao.sessions.append([session_draft("old", at=NOW - timedelta(hours=10))])
    life = BatchUpkeep(memory_dao, BY_AGE, clock)
    life.run_once()
    assert statuses(memory_dao) == ["released", "collecting"]
    clock.forward(60)
    life.run_once()
    assert statuses(memory_dao)[:2] == ["released", "released"]


def test_r10_a_trained_batch_is_archived_after_its_time(memory_dao: MemoryDao, clock: Clock) -> None:
    """R10: a trained batch is archived with the reason in its history; a batch that was only released stays."""
    life = BatchUpkeep(memory_dao, BatchRules(archive_after=MINUTE), clock)
    for batch in (1, 2):
        memory_dao.sessions.append(session_drafts(1, f"b{batch}"))
        memory_dao.batches.release(f"r-{batch}", None, clock())
    for expected, to in (("released", "training"), ("training", "trained")):
        memory_dao.batches.change_status(
            1, {BatchStatus(expected)}, BatchStatus(to), run_id="run-1", reason="", at=clock()
        )
    clock.forward(60)
    life.run_once()
    assert statuses(memory_dao)[0] == "trained"
    clock.forward(1)
    life.run_once()
    assert statuses(memory_dao) == ["archived", "released", "collecting"]
    assert memory_dao.batches.get(1).history[-1].reason == "60 s after its last training"


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING])
def test_r10_a_batch_that_a_run_is_to_train_is_not_archived(
    memory_dao: MemoryDao, clock: Clock, state: RunState
) -> None:
    """R10: a batch stays until the last run that names it has ended, and does not delay other batches."""
    life = BatchUpkeep(memory_dao, BatchRules(archive_after=MINUTE), clock)
    for batch in (1, 2, 3):
        memory_dao.sessions.append(session_drafts(1, f"b{batch}"))
        memory_dao.batches.release(f"r-{batch}", None, clock())
        begin(memory_dao, batch, "before")
        memory_dao.batches.change_status(
            batch, {BatchStatus.TRAINING}, BatchStatus.TRAINED, run_id="before", reason="", at=clock()
        )
    memory_dao.runs.create(training_run(batches=(2, 1)))
    if state is RunState.RUNNING:
        memory_dao.runs.claim("me", clock(), clock() + MINUTE)  # and has not begun its batches yet
    clock.forward(3_600)
    life.run_once()
    assert statuses(memory_dao)[:3] == ["trained", "trained", "archived"]
    memory_dao.runs.claim("me", clock(), clock() + MINUTE)
    memory_dao.runs.finish("run-1", "me", RunState.FAILED, "", None, clock())
    life.run_once()
    assert statuses(memory_dao)[:3] == ["archived", "archived", "archived"]


def begin(dao: ClickstreamDao, sequence: int, run_id: str) -> None:
    """Puts a batch into training."""
    released = frozenset({BatchStatus.RELEASED})
    dao.batches.change_status(sequence, released, BatchStatus.TRAINING, run_id=run_id, reason="", at=NOW)


@pytest.mark.parametrize(
    ("state", "status"),
    [(RunState.SUCCEEDED, "trained"), (RunState.FAILED, "failed"), (RunState.CANCELED, "failed"), (None, "failed")],
)
def test_r10_a_batch_of_a_run_that_is_over_leaves_training(
    memory_dao: MemoryDao, clock: Clock, state: RunState | None, status: str
) -> None:
    """R10, R16: a batch in training for a run that has ended or does not exist is taken out of training."""
    memory_dao.sessions.append(session_drafts(1))
    memory_dao.batches.release("r-1", None, clock())
    if state is not None:
        memory_dao.runs.create(training_run())
        memory_dao.runs.claim("me", NOW, NOW + MINUTE)
        memory_dao.runs.finish("run-1", "me", state, "", None, NOW)
    begin(memory_dao, 1, "run-1")
    for _ in range(2):
        BatchUpkeep(memory_dao, BatchRules(), clock).run_once()
    batch = memory_dao.batches.get(1)
    assert [change.status for change in batch.history] == ["released", "training", status]
    assert batch.history[-1].reason == f"freed: run run-1 {f'has {state}' if state else 'does not exist'}"
    assert batch.run_id == "run-1"


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING])
def test_r10_a_batch_whose_run_goes_on_stays_in_training(memory_dao: MemoryDao, clock: Clock, state: RunState) -> None:
    """R10, R16: a run that waits, or whose worker is dead, keeps its batches; later batches are still freed."""
    for number in range(1, 4):
        memory_dao.sessions.append(session_drafts(1, f"b{number}"))
        memory_dao.batches.release(f"r-{number}", None, clock())
    memory_dao.runs.create(training_run(batches=(2, 3)))
    memory_dao.runs.claim("silent", NOW, NOW + MINUTE)
    if state is RunState.QUEUED:
        memory_dao.runs.give_back("run-1", "silent", state, "waits", NOW, 0)
    for sequence, run_id in ((1, "never-was"), (2, "run-1"), (3, "run-1")):
        begin(memory_dao, sequence, run_id)
    clock.forward(3_600)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(batch_upkeep, "LOOKS", 1)
        BatchUpkeep(memory_dao, BatchRules(), clock).run_once()
    assert statuses(memory_dao) == ["failed", "training", "training", "collecting"]


def test_r10_a_batch_that_another_run_has_begun_meanwhile_is_not_freed(
    memory_dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R10: a batch that goes to another run between a worker's read and its change stays with that run."""
    memory_dao.sessions.append(session_drafts(1))
    memory_dao.batches.release("r-1", None, clock())
    begin(memory_dao, 1, "over")
    get = memory_dao.runs.get

    def late(run_id: str) -> object:
        memory_dao.batches.change_status(
            1, {BatchStatus.TRAINING}, BatchStatus.FAILED, run_id="over", reason="", at=clock()
        )
        memory_dao.batches.change_status(
            1, {BatchStatus.FAILED}, BatchStatus.TRAINING, run_id="next", reason="", at=clock()
        )
        return get(run_id)

    monkeypatch.setattr(memory_dao.runs, "get", late)
    BatchUpkeep(memory_dao, BatchRules(), clock).run_once()
    batch = memory_dao.batches.get(1)
    assert (batch.status, batch.run_id) == (BatchStatus.TRAINING, "next")


def test_r10_workers_and_a_scheduler_at_once_release_each_batch_once(database: Database[Document]) -> None:
    """R10: racing with writers, each other and ReleaseBatch, workers release no batch that is not full."""
    clock, written, half = Clock(), threading.Event(), threading.Event()

    def write() -> None:
        dao = MongoDao(database)
        for number in range(60):
            dao.sessions.append([session_draft(f"s-{number}")])
            if number == 30:
                half.set()  # from here on only workers release, also if a scheduler's last call took long
                wait(schedulers, timeout=PATIENCE)
        written.set()

    def release(number: int) -> None:
        dao = MongoDao(database)
        while not half.is_set():
            with contextlib.suppress(ClickstreamError):
                dao.batches.release(f"manual-{number}", None, clock())
            number += 2
            half.wait(0.05)

    def work() -> None:
        life = BatchUpkeep(MongoDao(database), BY_SIZE, clock)
        while not written.is_set():
            life.run_once()
        life.run_once()

    with ThreadPoolExecutor(6) as pool:
        schedulers = [pool.submit(release, number) for number in range(2)]
        racing = [*schedulers, pool.submit(write), *(pool.submit(work) for _ in range(3))]
        for each in racing:
            each.result(timeout=120)
    batches = MongoDao(database).batches.list(None, 1_000, frozenset())
    by_workers = [batch for batch in batches if batch.release_id.startswith("auto-")]
    assert sum(batch.session_count for batch in batches) == 60
    assert by_workers
    assert all(batch.session_count >= 3 for batch in by_workers)
