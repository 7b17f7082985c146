"""Changes that mean work, on a real replica set and on a server that is none."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from queue import Empty, Queue

import pytest
from pymongo.database import Database
from support.builders import NOW, session_drafts, training_run

from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document, connect
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.errors import Unavailable
from clickstream.domain.runs import Phase, RunState, TrainingProgress
from clickstream.workers import wake_signal
from clickstream.workers.wake_signal import WakeSignal

PATIENCE = 30
LATER = NOW + timedelta(minutes=1)


class Follower:
    """Follows a store's changes in a thread, and counts the reports."""

    def __init__(self, dao: MongoDao) -> None:
        self._reports: Queue[None] = Queue()
        self._stopped = threading.Event()
        self.ended: Queue[bool | Exception] = Queue()
        self._thread = threading.Thread(target=self._follow, args=(dao,))
        self._thread.start()

    def _follow(self, dao: MongoDao) -> None:
        try:
            self.ended.put(dao.changes.follow(lambda: self._reports.put(None), self._stopped.is_set))
        except Unavailable as error:
            self.ended.put(error)

    def has_report(self, patience: float = PATIENCE) -> bool:
        """Whether a change is reported within `patience` seconds."""
        try:
            self._reports.get(timeout=patience)
        except Empty:
            return False
        return True

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


@contextmanager
def following(dao: MongoDao) -> Iterator[Follower]:
    """A follower, after its first report."""
    follower = Follower(dao)
    try:
        assert follower.has_report()
        yield follower
    finally:
        follower.stop()


def queued(dao: MongoDao) -> None:
    """Puts a session forward."""
    dao.sessions.append(session_drafts(1))
    [session] = dao.sessions.page(1, 0, 1, include_irrelevant=True).sessions
    dao.improvement.queue(session, NOW)


BRINGING_WORK: dict[str, Callable[[MongoDao], object]] = {
    "a new run": lambda dao: dao.runs.create(training_run()),
    "a queued session": queued,
}


@pytest.mark.parametrize("change", BRINGING_WORK)
def test_new_work_is_reported(database: Database[Document], change: str) -> None:
    """A queued run and a queued session are reported."""
    dao = MongoDao(database)
    with following(dao) as follower:
        BRINGING_WORK[change](dao)
        assert follower.has_report()


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.FAILED])
def test_changes_of_a_run_are_reported_where_they_mean_work(database: Database[Document], state: RunState) -> None:
    """A run that is given back or ends is reported; its claim and its heartbeats are not."""
    dao = MongoDao(database)
    dao.runs.create(training_run())
    [run] = dao.runs.list(None, 1, set())
    with following(dao) as follower:
        dao.runs.claim("w-1", NOW, LATER)
        for step in range(3):
            dao.runs.renew(run.run_id, "w-1", LATER, TrainingProgress(Phase.TRAINING, step=step))
        assert not follower.has_report(patience=2)
        dao.runs.give_back(run.run_id, "w-1", RunState.QUEUED, "", NOW, 1)
        assert follower.has_report()
        dao.runs.claim("w-2", NOW, LATER)
        dao.runs.finish(run.run_id, "w-2", state, "", None, NOW)
        assert follower.has_report()


def test_r20_a_run_that_a_stopped_worker_gives_back_is_reported(database: Database[Document]) -> None:
    """R16, R20: a run that a stopping worker returns in state running is reported to the other workers."""
    dao = MongoDao(database)
    dao.runs.create(training_run())
    dao.runs.claim("w-1", NOW, LATER)
    with following(dao) as follower:
        dao.runs.renew("run-1", "w-1", LATER, TrainingProgress(Phase.TRAINING, step=1))
        dao.runs.request_cancel("run-1", NOW)
        assert not follower.has_report(patience=2)
        dao.runs.give_back("run-1", "w-1", RunState.RUNNING, "the worker stopped", NOW, 0)
        assert follower.has_report()
        dao.runs.claim("w-2", NOW, LATER)
        assert not follower.has_report(patience=2)


def test_the_last_change_of_a_burst_is_reported(database: Database[Document]) -> None:
    """After many changes at once, a report follows the last of them."""
    dao = MongoDao(database)
    with following(dao) as follower:
        dao.sessions.append(session_drafts(200))
        sessions = dao.sessions.page(1, 0, 200, include_irrelevant=True).sessions
        for session in sessions:
            dao.improvement.queue(session, NOW)
        looks = 0
        while follower.has_report(patience=3):
            looks += 1
        assert 1 <= looks < len(sessions)


class Standalone(EmbeddedMongo):
    """A mongod that is no replica set."""

    def _spawn(self, *_: str) -> None:
        super()._spawn()

    def _wait_until_writable(self) -> None:
        with connect(self.uri, timeout=1) as client:
            self._poll(lambda: bool(client.admin.command("ping")))


def test_a_server_that_is_no_replica_set_says_so(mongod_program: None, tmp_path: Path) -> None:
    """A store that cannot report changes returns False at once, instead of raising."""
    mongo = Standalone(tmp_path, cache_gb=0.25)
    mongo.start()
    reports: list[None] = []
    try:
        with connect(mongo.uri, timeout=20) as client:
            assert not MongoDao(client["test"]).changes.follow(lambda: reports.append(None), lambda: False)
    finally:
        mongo.stop()
    assert not reports


def test_a_lost_stream_is_an_error(mongod_program: None, tmp_path: Path) -> None:
    """A mongod that dies ends the stream with an error, so that the follower opens it again."""
    mongo = EmbeddedMongo(tmp_path, cache_gb=0.25)
    mongo.start()
    with connect(mongo.uri, timeout=2) as client:
        follower = Follower(MongoDao(client["test"]))
        assert follower.has_report()
        mongo.stop()
        assert isinstance(follower.ended.get(timeout=PATIENCE), Unavailable)
        follower.stop()


def test_a_dropped_database_is_an_error(database: Database[Document]) -> None:
    """A stream that can never continue ends with an error, too, instead of being read for ever."""
    with following(MongoDao(database)) as follower:
        database.client.drop_database(database.name)
        assert isinstance(follower.ended.get(timeout=PATIENCE), Unavailable)


def test_a_worker_is_woken_again_after_its_database_was_dropped(
    database: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream is opened again and reports later work, and waiting takes almost no processor time."""
    monkeypatch.setattr(wake_signal, "POLL_SECONDS", 3_600)
    monkeypatch.setattr(wake_signal, "FOLLOWED_POLL_SECONDS", 3_600)
    dao, made = MongoDao(database), WakeSignal()

    async def scenario() -> None:
        await made.wait()
        await asyncio.to_thread(database.client.drop_database, database.name)
        await made.wait()
        began = time.process_time()
        await asyncio.sleep(3)
        assert time.process_time() - began < 1
        await asyncio.to_thread(dao.runs.create, training_run())
        await made.wait()

    async def followed() -> None:
        following = asyncio.create_task(made.follow(dao.changes))
        try:
            await asyncio.wait_for(scenario(), PATIENCE)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    asyncio.run(followed())
