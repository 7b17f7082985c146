"""What a page read fetches from the real server, counted (R7, R11)."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from embedding_studio.clickstream.v1 import session_pb2
from pymongo import MongoClient, monitoring
from pymongo.database import Database
from support.builders import NOW, push, session_draft, session_drafts

from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain import limits
from clickstream.domain.sessions import EventDraft, EventPush
from clickstream.servicers.batch_pages import BatchReader

MEBIBYTE = 1024 * 1024
# MongoDB's largest reply, which a cursor holds at most, and a little for the rest of it.
REPLY_BYTES = 17 * MEBIBYTE


class Replies(monitoring.CommandListener):
    """Records the commands, their collections, and the number of payload bytes in the replies."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, str]] = []
        self.payload_bytes = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        collection = event.command.get("collection") or event.command[event.command_name]
        self.commands.append((event.command_name, str(collection)))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        cursor = event.reply.get("cursor", {})
        documents = [*cursor.get("firstBatch", ()), *cursor.get("nextBatch", ())]
        self.payload_bytes += sum(len(document.get("payload", b"")) for document in documents)

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


@pytest.fixture
def replies() -> Replies:
    """The commands and payload bytes so far."""
    return Replies()


@pytest.fixture
def dao(mongod: EmbeddedMongo, database: Database[Document], replies: Replies) -> Iterator[MongoDao]:
    """A store whose commands are counted."""
    with MongoClient[Document](mongod.uri, event_listeners=[replies], tz_aware=True) as client:
        yield MongoDao(client[database.name])


def fill(database: Database[Document], sessions: int, payload: bytes) -> None:
    """Registers sessions with this payload."""
    MongoDao(database).sessions.append(
        [replace(session_draft(f"s-{number}"), payload=payload) for number in range(1, sessions + 1)]
    )


def add_events(database: Database[Document], session_id: str, events: int, payload: bytes) -> None:
    """Adds events with this payload to a session."""
    drafts = [EventDraft(f"e-{number:05d}", "click", NOW, False, payload) for number in range(events)]
    MongoDao(database).events.append([EventPush(session_id, drafts)])


def test_r11_a_page_is_two_finds(database: Database[Document], dao: MongoDao, replies: Replies) -> None:
    """R11: a page of 300 sessions with 3,000 events is one query of each collection, in one round trip each."""
    filling = MongoDao(database)
    filling.sessions.append(session_drafts(300))
    filling.events.append([push(f"s-{number}", *(f"e-{n}" for n in range(10))) for number in range(1, 301)])
    page = BatchReader(dao, 1, include_irrelevant=False).page(0, 300)
    assert len(page.sessions) == 300
    assert replies.commands == [("find", "sessions"), ("find", "session_events")]


def test_r7_a_page_of_full_size_sessions_fetches_no_more_than_one_reply(
    database: Database[Document], dao: MongoDao, replies: Replies
) -> None:
    """R7: a page that asks for 1,000 sessions of 1 MiB each ends at its 2 MiB, not at the end of the batch."""
    fill(database, 40, b"x" * MEBIBYTE)
    page = dao.sessions.page(1, 0, 1_000, include_irrelevant=True)
    assert ([each.number for each in page.sessions], page.complete) == ([1, 2], False)
    assert 2 * MEBIBYTE < replies.payload_bytes < REPLY_BYTES


def test_r7_events_of_many_sessions_fetch_no_more_than_one_reply(
    database: Database[Document], dao: MongoDao, replies: Replies
) -> None:
    """R7: 25 MiB of events in the range of one page cost what fits the page, and one reply."""
    fill(database, 50, b"")
    for number in range(1, 51):
        add_events(database, f"s-{number}", 32, b"x" * 16_384)
    page = dao.events.of_sessions(1, 1, 50)
    assert (list(page.of), page.last) == ([1, 2, 3, 4], 4)
    assert replies.payload_bytes < REPLY_BYTES
    assert [name for name, _ in replies.commands] == ["find", "killCursors"]


def test_r7_a_short_list_of_events_costs_what_it_lists(
    database: Database[Document], dao: MongoDao, replies: Replies
) -> None:
    """R7: ten events of a session with 10,000 are ten events on their way; its small neighbours share one read."""
    fill(database, 5, b"")
    for number, count in ((1, 3), (2, 10_000), (3, 12), (5, 4)):
        add_events(database, f"s-{number}", count, b"x" * 100)
    page = dao.events.of_sessions(1, 1, 5, 10)
    assert {number: (len(of.events), of.omitted) for number, of in page.of.items()} == {
        1: (3, 0),
        2: (10, 9_990),
        3: (10, 2),
        5: (4, 0),
    }
    assert [name for name, _ in replies.commands] == ["aggregate", "find", "find"]
    assert replies.payload_bytes == 100 * (3 + 10 + 12 + 4)


def test_r11_a_page_without_events_is_a_find_and_a_count(
    database: Database[Document], dao: MongoDao, replies: Replies
) -> None:
    """R11: who asks for no events costs one count of the page's range, and no event is read."""
    fill(database, 3, b"")
    add_events(database, "s-2", 2_000, b"y")
    reader = BatchReader(dao, 1, include_irrelevant=False, events_limit=0)
    [_, second, _] = reader.page(0, 3).sessions
    assert session_pb2.StoredSession.FromString(second).omitted_events == 2_000
    assert replies.commands == [("find", "sessions"), ("aggregate", "session_events")]
    assert replies.payload_bytes == 0


def test_r7_events_that_come_between_count_and_read_hide_no_session(
    database: Database[Document], dao: MongoDao, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R7: new events of one session can fill the read; the next session's own are counted then, not left out."""
    fill(database, 2, b"")
    add_events(database, "s-1", 1, b"x")
    add_events(database, "s-2", 2, b"x")
    counted = dao.events._counts

    def late(batch: int, first: int, last: int) -> dict[int, int]:
        found = counted(batch, first, last)
        add_events(database, "s-1", 3, b"x")
        return found

    monkeypatch.setattr(dao.events, "_counts", late)
    page = dao.events.of_sessions(1, 1, 2, 5)
    assert {number: (len(of.events), of.omitted) for number, of in page.of.items()} == {1: (3, 0), 2: (0, 2)}


def test_r7_the_events_beyond_the_listing_limit_are_counted_but_not_fetched(
    database: Database[Document], dao: MongoDao, replies: Replies
) -> None:
    """R7: a session with 40 MiB of events costs one reply and a count, and the next session is still read."""
    fill(database, 2, b"")
    add_events(database, "s-1", 2_560, b"x" * 16_384)
    add_events(database, "s-2", 1, b"y")
    page = dao.events.of_sessions(1, 1, 2)
    assert (len(page.of[1].events), page.of[1].omitted) == (limits.LISTED_EVENT_BYTES // 16_384, 2_560 - 64)
    assert (len(page.of[2].events), page.last) == (1, 2)
    assert replies.payload_bytes < REPLY_BYTES
    assert [name for name, _ in replies.commands if name != "killCursors"] == ["find", "aggregate", "find"]
