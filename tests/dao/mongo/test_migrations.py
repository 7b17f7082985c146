"""Migrations of the schema: once, under a lock, from the data of a released version."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from pymongo.database import Database
from support import database_dump

from clickstream.dao.mongo import migrations, schema
from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.migrations import Renew
from clickstream.dao.mongo.schema import prepare_schema
from clickstream.domain.errors import StartError


@pytest.fixture
def released(database: Database[Document], monkeypatch: pytest.MonkeyPatch) -> Database[Document]:
    """The data of 0.2.0, of schema version 1, before a program that knows version 3."""
    database_dump.load(database_dump.dump_of("0.2.0"), database)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", 3)
    return database


def count_up(database: Database[Document], renew: Renew) -> None:
    """A migration that shows how often it ran, and takes its time."""
    database["sessions"].update_many({}, {"$inc": {"migrated": 1}})
    time.sleep(0.2)
    renew()


def test_eight_processes_migrate_the_data_of_0_2_0_once(
    released: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of eight starts at once each ends with the newest version, and each migration ran once, in order."""
    monkeypatch.setattr(migrations, "MIGRATIONS", {2: count_up, 3: count_up})
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(prepare_schema, [released] * 8))
    assert {each["migrated"] for each in released["sessions"].find({"seal": None})} == {2}
    meta = released["clickstream_meta"]
    assert meta.find_one({"_id": "schema"}) == {"_id": "schema", "version": 3}
    assert meta.find_one({"_id": "migration"}) is None


def test_a_migration_that_failed_is_repeated(released: Database[Document], monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure leaves the version before and no lock; the next start runs the migration from its beginning."""

    def broken(*_: object) -> None:
        raise OSError("the machine dies")

    monkeypatch.setattr(migrations, "MIGRATIONS", {2: count_up, 3: broken})
    with pytest.raises(OSError, match="dies"):
        prepare_schema(released)
    assert released["clickstream_meta"].find_one({"_id": "schema"}) == {"_id": "schema", "version": 2}
    monkeypatch.setattr(migrations, "MIGRATIONS", {2: count_up, 3: count_up})
    prepare_schema(released)
    assert {each["migrated"] for each in released["sessions"].find({"seal": None})} == {2}


@pytest.mark.parametrize("ended", [True, False])
def test_the_lock_of_a_dead_process_ends(
    released: Database[Document], monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    """A lock that nobody renews is taken over when it ends; before that a start waits, and gives up in the end."""
    monkeypatch.setattr(migrations, "MIGRATIONS", {2: count_up, 3: count_up})
    monkeypatch.setattr(migrations, "PATIENCE_SECONDS", 0.3)
    until = datetime.now(UTC) + timedelta(seconds=-1 if ended else 60)
    released["clickstream_meta"].insert_one({"_id": "migration", "owner": "dead", "until": until})
    if ended:
        prepare_schema(released)
    else:
        with pytest.raises(StartError, match="another process has been migrating"):
            prepare_schema(released)
    assert released["sessions"].count_documents({"migrated": 2}) == (
        released["sessions"].count_documents({}) if ended else 0
    )


def test_a_process_that_lost_its_lock_does_not_finish(
    released: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that slept through its lock's end writes no version: another one may be at work."""
    taken = threading.Event()

    def slow(database: Database[Document], _: Renew) -> None:
        database["clickstream_meta"].update_one({"_id": "migration"}, {"$set": {"owner": "another"}})
        taken.set()

    monkeypatch.setattr(migrations, "MIGRATIONS", {2: slow, 3: slow})
    with pytest.raises(StartError, match="took the migration over"):
        prepare_schema(released)
    assert taken.is_set()
    assert released["clickstream_meta"].find_one({"_id": "schema"}) == {"_id": "schema", "version": 1}
