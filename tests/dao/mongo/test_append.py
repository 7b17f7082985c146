"""The append scheme on the real server: many writers, and what the store does not take (R3, R8, R9)."""

import itertools
import multiprocessing
import threading
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

import pymongo
import pytest
from pymongo.database import Database
from pymongo.write_concern import WriteConcern
from support.builders import NOW, session_draft, session_drafts
from support.servers import wait_for

from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document, connect
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.batches import BatchStatus
from clickstream.domain.errors import FailedPrecondition, Unavailable

GROUPS = 30
ENDLESS = 1_000_000
Answer = tuple[str, int, int, bool]


def write(uri: str, database: str, writer: str, groups: int = GROUPS) -> list[Answer]:
    """Appends groups of sessions, some of which every writer sends, through a client of its own."""
    answers = []
    with connect(uri, 30) as client:
        dao = MongoDao(client[database])
        for group in range(groups):
            own = [f"{writer}-{group}-{number}" for number in range(group % 4 + 1)]
            for answer in dao.sessions.append([session_draft(each) for each in [*own, f"shared-{group}", own[0]]]):
                session = answer.session
                answers.append((session.session_id, session.batch, session.number, answer.created))
    return answers


def release_again_and_again(dao: MongoDao, stop: threading.Event) -> None:
    """Releases the collecting batch whenever it has some sessions."""
    for number in itertools.count():
        if stop.is_set():
            return
        if dao.batches.collecting().session_count >= 20:
            dao.batches.release(f"release-{number}", None, NOW)


def read_everything(dao: MongoDao, stop: threading.Event) -> list[tuple[int, int, str]]:
    """Pages by number through batch after batch, until the writing has ended."""
    seen: list[tuple[int, int, str]] = []
    batch, after = 1, 0
    while True:
        last_round = stop.is_set()
        status = dao.batches.get(batch)
        page = dao.sessions.page(batch, after, 7, include_irrelevant=True).sessions
        seen += [(each.batch, each.number, each.session_id) for each in page]
        if page:
            after = page[-1].number
        elif status is not None and status.status is not BatchStatus.COLLECTING:
            assert after == status.session_count
            batch, after = batch + 1, 0
        elif last_round:
            return seen


def everything(dao: MongoDao) -> list[tuple[int, int, str]]:
    """All sessions, checked to be numbered 1 to n in every batch, with exactly one batch that collects."""
    batches = dao.batches.list(None, 1_000, frozenset())
    assert [batch.sequence for batch in batches] == list(range(len(batches), 0, -1))
    assert [batch.status for batch in batches].count(BatchStatus.COLLECTING) == 1
    found = []
    for batch in reversed(batches):
        page = dao.sessions.page(batch.sequence, 0, 100_000, include_irrelevant=True).sessions
        assert [each.number for each in page] == list(range(1, batch.session_count + 1))
        found += [(each.batch, each.number, each.session_id) for each in page]
    return found


def test_r8_r9_many_writers_releases_and_a_reader(mongod: EmbeddedMongo, database: Database[Document]) -> None:
    """R8, R9: beside writers in three processes and releases, a paging reader sees each session once, in order."""
    dao, stop = MongoDao(database), threading.Event()
    spawn = multiprocessing.get_context("spawn")
    with ThreadPoolExecutor(5) as threads, spawn.Pool(2) as processes:
        releasing = threads.submit(release_again_and_again, MongoDao(database), stop)
        reading = threads.submit(read_everything, MongoDao(database), stop)
        try:
            remote = processes.starmap_async(write, [(mongod.uri, database.name, f"p{each}") for each in range(2)])
            local = [threads.submit(write, mongod.uri, database.name, f"t{each}") for each in range(3)]
            answers = [answer for each in [*remote.get(60), *(each.result(60) for each in local)] for answer in each]
        finally:
            stop.set()
        releasing.result(30)
        seen = reading.result(30)
    stored = everything(dao)
    assert seen == stored
    assert dao.batches.collecting().sequence > 2  # releases came in between
    assert {(batch, number, session_id) for session_id, batch, number, _ in answers} == set(stored)
    created = Counter(session_id for session_id, _, _, created in answers if created)
    assert created == Counter({session_id: 1 for _, _, session_id in stored})


def test_r8_a_killed_writer_leaves_no_gap(mongod: EmbeddedMongo, database: Database[Document]) -> None:
    """R8: after kill -9 in the middle of appending, numbers are dense and a retry completes what was lost."""
    dao = MongoDao(database)
    arguments = (mongod.uri, database.name, "w", ENDLESS)
    process = multiprocessing.get_context("spawn").Process(target=write, args=arguments)
    process.start()
    wait_for(lambda: dao.batches.collecting().session_count > 5)
    process.kill()
    process.join()
    # The server may still be at the group that the writer had sent, so only what one read gives is compared.
    before = dao.sessions.page(1, 0, 100_000, include_irrelevant=True).sessions
    assert [each.number for each in before] == list(range(1, len(before) + 1))
    begun = max(int(each.session_id.split("-")[1]) for each in before)
    answers = write(mongod.uri, database.name, "w", begun + 2)
    after = everything(dao)
    assert after[: len(before)] == [(each.batch, each.number, each.session_id) for each in before]
    assert len(before) < len(after) == len({session_id for session_id, *_ in answers})


def seal_only(database: Database[Document], batch: int, number: int) -> None:
    """The state after a release that died between its two writes."""
    database["sessions"].insert_one(
        {
            "_id": {"seal": batch},
            "batch": batch,
            "number": number,
            "seal": True,
            "release_id": f"r-{batch}",
            "released_at": NOW,
        }
    )


@pytest.mark.parametrize("look", ["get", "list", "release", "collecting", "append"])
def test_r10_a_release_that_died_half_way_is_completed(database: Database[Document], look: str) -> None:
    """R10: once its seal is written a batch is released, whichever call comes first after the crash."""
    MongoDao(database).sessions.append(session_drafts(2))
    seal_only(database, batch=1, number=3)
    dao = MongoDao(database)
    if look == "get":
        dao.batches.get(1)
    elif look == "list":
        dao.batches.list(None, 10, frozenset())
    elif look == "release":
        dao.batches.release("r-1", None, NOW)
    elif look == "collecting":
        dao.batches.collecting()
    dao.sessions.append([session_draft("next")])
    assert dao.sessions.get("next").batch == 2
    released = dao.batches.get(1)
    assert (released.status, released.session_count, released.release_id) == (BatchStatus.RELEASED, 2, "r-1")
    collecting = dao.batches.collecting()
    assert (collecting.sequence, collecting.session_count, collecting.opened_at) == (2, 1, NOW)
    assert dao.batches.list(None, 10, frozenset()) == [collecting, released]


def test_r10_the_next_release_completes_the_one_before(database: Database[Document]) -> None:
    """R10: a release makes the document of the batch whose release died half-way before it."""
    MongoDao(database).sessions.append(session_drafts(2))
    seal_only(database, batch=1, number=3)
    dao = MongoDao(database)
    dao.sessions.append([session_draft("next")])
    dao.batches.release("r-2", None, NOW)
    assert database["session_batches"].count_documents({}) == 2
    assert [batch.status for batch in dao.batches.list(None, 10, frozenset())] == ["collecting", *["released"] * 2]


def test_r8_a_server_that_slept_through_a_release_goes_on_in_the_next_batch(database: Database[Document]) -> None:
    """R8: a process with an outdated end of the log appends behind what others wrote and sealed since."""
    sleeper, other = MongoDao(database), MongoDao(database)
    sleeper.sessions.append(session_drafts(2, "a"))
    other.sessions.append(session_drafts(2, "b"))
    other.batches.release("r-1", None, NOW)
    other.sessions.append(session_drafts(1, "c"))
    placed = [(each.session.batch, each.session.number) for each in sleeper.sessions.append(session_drafts(2, "d"))]
    assert placed == [(2, 2), (2, 3)]


class NeverFree:
    """A collection in which every insert meets a key that no read can see yet."""

    def __init__(self) -> None:
        self.inserts = 0

    def find_one(self, *_: object, **__: object) -> Document | None:
        return {"batch": 1, "number": 1} if _ == ({}, {"batch": 1, "number": 1, "seal": 1}) else None

    def insert_one(self, _: Document) -> None:
        self.inserts += 1
        raise pymongo.errors.DuplicateKeyError("taken")


def test_r10_a_release_that_never_finds_the_end_gives_up() -> None:
    """R3, R10: while another write stays unacknowledged, a release ends with UNAVAILABLE instead of never."""
    log = NeverFree()
    dao = MongoDao(defaultdict(lambda: log))  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        dao.batches.release("r-1", None, NOW)
    assert log.inserts > 1


def test_r10_an_empty_batch_is_not_released_however_often(database: Database[Document]) -> None:
    """R10: a refused release leaves nothing behind."""
    dao = MongoDao(database)
    for _ in range(2):
        with pytest.raises(FailedPrecondition):
            dao.batches.release("r-1", None, NOW)
    assert database["sessions"].count_documents({}) == 0


@pytest.mark.parametrize("stored_before", [[], ["s-2"]], ids=["all new", "one a duplicate"])
def test_r3_sessions_that_no_majority_acknowledged_are_not_created(
    database: Database[Document], stored_before: list[str]
) -> None:
    """R3: if the store wrote sessions but no majority acknowledged them, none is answered as stored."""
    MongoDao(database).sessions.append([session_draft(each) for each in stored_before])
    # The tests' replica set has one member: it writes, and reports that two cannot acknowledge.
    dao = MongoDao(database.with_options(write_concern=WriteConcern(w=2)))
    with pytest.raises(Unavailable, match="not acknowledged by a majority"):
        dao.sessions.append(session_drafts(2))
    answers = MongoDao(database).sessions.append(session_drafts(2))
    assert [answer.created for answer in answers] == [False, False]
    assert [number for _, number, _ in everything(MongoDao(database))] == [1, 2]


def test_r1_a_session_that_the_store_refuses_fails_alone(database: Database[Document]) -> None:
    """R1, R8: the sessions before and behind a refused one are stored, with dense numbers."""
    database.command("collMod", "sessions", validator={"_id": {"$ne": "s-2"}})
    first, refused, last = MongoDao(database).sessions.append(session_drafts(3))
    assert isinstance(refused, Unavailable)
    assert [(each.session.session_id, each.created) for each in (first, last)] == [("s-1", True), ("s-3", True)]
    assert everything(MongoDao(database)) == [(1, 1, "s-1"), (1, 2, "s-3")]
