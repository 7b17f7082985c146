"""What workers do with batches by themselves."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from builders import NOW, session_draft, session_drafts
from dao.memory import MemoryDao
from pymongo.database import Database
from serving import Clock

from clickstream.batches import BatchRules, BatchStatus
from clickstream.dao.interface import ClickstreamDao
from clickstream.dao.mongo import Document
from clickstream.dao.store import MongoDao
from clickstream.errors import ClickstreamError
from clickstream.workers.batch_life import BatchLife

MINUTE = timedelta(minutes=1)
BY_SIZE = BatchRules(release_sessions=3)
BY_AGE = BatchRules(release_age=MINUTE)


def statuses(dao: ClickstreamDao) -> list[str]:
    """Of all batches, the oldest first."""
    return [batch.status for batch in reversed(dao.batches.list(None, 1_000, frozenset()))]


def test_by_default_nothing_is_released_or_archived(memory_dao: MemoryDao, clock: Clock) -> None:
    """Without rules schedulers alone decide, however large and old a batch is."""
    memory_dao.sessions.append(session_drafts(50))
    clock.forward(1e6)
    BatchLife(memory_dao, BatchRules(), clock).look_after()
    assert statuses(memory_dao) == ["collecting"]


def test_r10_a_batch_of_enough_sessions_is_released(memory_dao: MemoryDao, clock: Clock) -> None:
    """R10: the collecting batch is released when it has enough sessions, not before, and the next one is not."""
    life = BatchLife(memory_dao, BY_SIZE, clock)
    memory_dao.sessions.append(session_drafts(2))
    life.look_after()
    assert statuses(memory_dao) == ["collecting"]
    memory_dao.sessions.append([session_draft("third")])
    for _ in range(2):
        life.look_after()
    assert statuses(memory_dao) == ["released", "collecting"]
    assert memory_dao.batches.get(1).release_id.startswith("auto-batch-1-")


def test_r10_a_batch_is_released_some_time_after_its_first_session(memory_dao: MemoryDao, clock: Clock) -> None:
    """R10: age counts from the first session, in every batch, and an empty batch is never released."""
    life = BatchLife(memory_dao, BY_AGE, clock)
    for batch in (1, 2):
        clock.forward(3_600)
        life.look_after()
        assert statuses(memory_dao)[batch - 1] == "collecting"
        memory_dao.sessions.append([session_draft(f"s-{batch}", at=clock())])
        clock.forward(59)
        life.look_after()
        assert statuses(memory_dao)[batch - 1] == "collecting"
        clock.forward(1)
        life.look_after()
        assert statuses(memory_dao)[batch - 1] == "released"


def test_r10_a_session_that_is_dated_back_makes_no_batch_old(memory_dao: MemoryDao, clock: Clock) -> None:
    """R5, R10: a client's `created_at` from before the batch opened does not count."""
    memory_dao.sessions.append(session_drafts(1))
    memory_dao.batches.release("r-1", None, clock())
    memory_dao.sessions.append([session_draft("old", at=NOW - timedelta(hours=10))])
    life = BatchLife(memory_dao, BY_AGE, clock)
    life.look_after()
    assert statuses(memory_dao) == ["released", "collecting"]
    clock.forward(60)
    life.look_after()
    assert statuses(memory_dao)[:2] == ["released", "released"]


def test_r10_what_trained_is_archived_after_its_time(memory_dao: MemoryDao, clock: Clock) -> None:
    """R10: a trained batch is archived with the reason in its history; one that only was released stays."""
    life = BatchLife(memory_dao, BatchRules(archive_after=MINUTE), clock)
    for batch in (1, 2):
        memory_dao.sessions.append(session_drafts(1, f"b{batch}"))
        memory_dao.batches.release(f"r-{batch}", None, clock())
    for expected, to in (("released", "training"), ("training", "trained")):
        memory_dao.batches.change_status(
            1, {BatchStatus(expected)}, BatchStatus(to), run_id="run-1", reason="", at=clock()
        )
    clock.forward(60)
    life.look_after()
    assert statuses(memory_dao)[0] == "trained"
    clock.forward(1)
    life.look_after()
    assert statuses(memory_dao) == ["archived", "released", "collecting"]
    assert memory_dao.batches.get(1).history[-1].reason == "60 s after its last training"


@pytest.mark.mongod
def test_r10_workers_and_a_scheduler_at_once_release_each_batch_once(database: Database[Document]) -> None:
    """R10: racing with writers, each other and ReleaseBatch, workers release no batch that is not full."""
    clock, writing = Clock(), threading.Event()

    def write() -> None:
        dao = MongoDao(database)
        for number in range(60):
            dao.sessions.append([session_draft(f"s-{number}")])
        writing.set()

    def release(number: int) -> None:
        dao = MongoDao(database)
        while not writing.is_set():
            with contextlib.suppress(ClickstreamError):
                dao.batches.release(f"manual-{number}", None, clock())
            number += 2
            writing.wait(0.05)

    def work() -> None:
        life = BatchLife(MongoDao(database), BY_SIZE, clock)
        while not writing.is_set():
            life.look_after()
        life.look_after()

    with ThreadPoolExecutor(6) as pool:
        racing = [pool.submit(write), pool.submit(release, 0), pool.submit(release, 1)]
        racing += [pool.submit(work) for _ in range(3)]
        for each in racing:
            each.result(timeout=120)
    batches = MongoDao(database).batches.list(None, 1_000, frozenset())
    by_workers = [batch for batch in batches if batch.release_id.startswith("auto-")]
    assert sum(batch.session_count for batch in batches) == 60
    assert by_workers
    assert all(batch.session_count >= 3 for batch in by_workers)
