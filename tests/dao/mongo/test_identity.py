"""What is remembered of a store ends with that store (R3, R8)."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.builders import push, session_drafts

from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import connect
from clickstream.dao.mongo.identity import Reconnects
from clickstream.dao.mongo.schema import prepare_schema
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.errors import NotFound, Unavailable
from clickstream.domain.signals import NoSignals

pytestmark = pytest.mark.usefixtures("mongod_program")


@pytest.fixture
def mongo(tmp_path: Path) -> Iterator[EmbeddedMongo]:
    """A mongod for this test alone."""
    mongo = EmbeddedMongo(tmp_path / "mongodb", 0.25)
    mongo.start()
    yield mongo
    mongo.stop()


@pytest.fixture
def dao(mongo: EmbeddedMongo) -> Iterator[MongoDao]:
    """The store of a process that serves throughout, with three sessions."""
    reconnects = Reconnects()
    with connect(mongo.uri, 3, NoSignals(), reconnects) as client:
        prepare_schema(client["clickstream"])
        dao = MongoDao(client["clickstream"], reconnects=reconnects)
        dao.ping()
        dao.sessions.append(session_drafts(3, "early"))
        yield dao


def numbers(dao: MongoDao, prefix: str, count: int) -> list[int]:
    """Appends sessions; returns their numbers."""
    return [each.session.number for each in dao.sessions.append(session_drafts(count, prefix))]  # type: ignore[union-attr]


def test_r8_numbers_and_places_end_with_the_store_they_came_from(
    dao: MongoDao, mongo: EmbeddedMongo, tmp_path: Path
) -> None:
    """R3, R8: after a restore to an earlier point numbers follow its last one; events of lost sessions fail."""
    mongo.stop()
    shutil.copytree(tmp_path / "mongodb", tmp_path / "earlier")
    mongo.start()
    assert numbers(dao, "lost", 4) == [4, 5, 6, 7]
    mongo.stop()
    shutil.rmtree(tmp_path / "mongodb")
    (tmp_path / "earlier").rename(tmp_path / "mongodb")
    mongo.start()
    [outcome] = dao.events.append([push("lost-1", "e-1")])
    assert isinstance(outcome, NotFound)
    assert numbers(dao, "new", 2) == [4, 5]
    page = dao.sessions.page(1, 0, 100, include_irrelevant=True)
    assert [session.number for session in page.sessions] == [1, 2, 3, 4, 5]


def test_r3_an_emptied_store_is_refused(dao: MongoDao, mongo: EmbeddedMongo, tmp_path: Path) -> None:
    """R3: a process whose store was replaced by an empty one writes nothing into it, and is not ready."""
    mongo.stop()
    shutil.rmtree(tmp_path / "mongodb")
    other = EmbeddedMongo(tmp_path / "mongodb", 0.25)
    other.start()
    try:
        for write in (
            lambda: dao.sessions.append(session_drafts(1, "late")),
            lambda: dao.events.append([push("early-1", "e-1")]),
            dao.ping,
        ):
            with pytest.raises(Unavailable, match="other data"):
                write()  # type: ignore[operator]
        with connect(other.uri, 10) as client:
            assert client["clickstream"].list_collection_names() == []
    finally:
        other.stop()
