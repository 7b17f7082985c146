"""Backup and restore of a data folder (R3)."""

import json
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pymongo
import pytest
from click.testing import CliRunner
from support import database_dump
from support.builders import push, session_drafts

from clickstream.app import backup as module
from clickstream.app.backup import back_up, restore
from clickstream.app.settings import Settings
from clickstream.cli import commands
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo import snapshot as snapshot_module
from clickstream.dao.mongo.connection import Document, connect
from clickstream.dao.mongo.identity import Reconnects
from clickstream.dao.mongo.schema import prepare_schema
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.errors import StartError, Unavailable
from clickstream.domain.signals import NoSignals

pytestmark = pytest.mark.usefixtures("mongod_program")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The settings of a server with its own data folder."""
    return Settings(data_dir=tmp_path / "data", mongod_cache_gb=0.25)


@pytest.fixture
def mongo(settings: Settings) -> Iterator[EmbeddedMongo]:
    """A running server's MongoDB, with the data of 0.2.0, a model and a checkpoint."""
    mongo = EmbeddedMongo(settings.data_dir / "mongodb", 0.25)
    mongo.start()
    with connect(mongo.uri, 20) as client:
        prepare_schema(client["clickstream"])
        database_dump.load(database_dump.dump_of("0.2.0"), client["clickstream"])
    for name in ("models/v-1/model.safetensors", "runs/run-1/checkpoint.pt", "models/.v-2.77.tmp/half", "runs/r/c.tmp"):
        path = settings.data_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    yield mongo
    mongo.stop()


def content_of(uri: str) -> dict[str, list[Document]]:
    """All documents of all collections but the store's id."""
    with pymongo.MongoClient[Document](uri, tz_aware=True) as client:
        database = client["clickstream"]
        names = sorted(database.list_collection_names())
        return {name: list(database[name].find({"_id": {"$ne": "store"}}, sort=[("_id", 1)])) for name in names}


def in_folder(folder: Path, look: Callable[[str], object]) -> object:
    """What `look` finds in the MongoDB of a data folder."""
    mongo = EmbeddedMongo(folder / "mongodb", 0.25)
    mongo.start()
    try:
        return look(mongo.uri)
    finally:
        mongo.stop()


def test_r3_a_restored_folder_has_everything(
    settings: Settings, mongo: EmbeddedMongo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R3: a backup under a running server and its restore give every document and file back."""
    before = content_of(mongo.uri)
    for name, value in {"CLICKSTREAM_DATA_DIR": settings.data_dir, "CLICKSTREAM_MONGOD_CACHE_GB": 0.25}.items():
        monkeypatch.setenv(name, str(value))
    file, elsewhere = tmp_path / "b.tar", tmp_path / "elsewhere"
    ran = CliRunner().invoke(commands.main, ["backup", str(file), "--json"])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["documents"]["sessions"] == len(before["sessions"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(settings.data_dir.glob(".backup-*"))
    ran = CliRunner().invoke(commands.main, ["restore-backup", str(file), "--data-dir", str(elsewhere)])
    assert ran.exit_code == 0, ran.output
    assert in_folder(elsewhere, content_of) == before
    files = {
        path.relative_to(elsewhere).as_posix() for name in module.FOLDERS for path in (elsewhere / name).rglob("*")
    }
    assert files == {"models/v-1", "models/v-1/model.safetensors", "runs/run-1", "runs/run-1/checkpoint.pt"}
    assert (elsewhere / "models/v-1/model.safetensors").read_text() == "models/v-1/model.safetensors"
    ran = CliRunner().invoke(commands.main, ["restore-backup", str(file), "--data-dir", str(elsewhere)])
    assert ran.exit_code == 2
    assert "is not empty" in ran.output


def test_a_backup_is_of_one_moment(
    settings: Settings, mongo: EmbeddedMongo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions with an event each, written all the while: a restored event has its session, and numbers are dense."""
    monkeypatch.setattr(snapshot_module, "PART_BYTES", 1)  # a part for each document
    reconnects, stop = Reconnects(), threading.Event()
    with connect(mongo.uri, 20, NoSignals(), reconnects) as client:
        dao = MongoDao(client["clickstream"], reconnects=reconnects)

        def write() -> None:
            for number in range(5_000):
                if stop.is_set():
                    return
                dao.sessions.append(session_drafts(1, f"w{number}"))
                dao.events.append([push(f"w{number}-1", "e-1")])

        writing = threading.Thread(target=write)
        writing.start()
        try:
            back_up(settings, tmp_path / "b.tar")
        finally:
            stop.set()
            writing.join()
        written = client["clickstream"]["sessions"].count_documents({})
    restore(settings.model_copy(update={"data_dir": tmp_path / "elsewhere"}), tmp_path / "b.tar")
    found = in_folder(tmp_path / "elsewhere", content_of)
    assert isinstance(found, dict)
    assert len(found["sessions"]) < written
    places = {(each["batch"], each["number"]) for each in found["sessions"]}
    assert places >= {(each["_id"]["batch"], each["_id"]["number"]) for each in found["session_events"]}
    for batch in {batch for batch, _ in places}:
        numbers = sorted(number for each, number in places if each == batch)
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_backup_beyond_the_history_fails_and_says_so(
    settings: Settings, mongo: EmbeddedMongo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If MongoDB no longer has the moment, nothing is written, and the error says why."""
    real = snapshot_module.Snapshot.parts

    def late(self: snapshot_module.Snapshot) -> Iterator[snapshot_module.Part]:
        # As after an hour: the server forgets what it keeps for snapshots, and new writes move its history on.
        with pymongo.MongoClient[Document](mongo.uri, w="majority") as client:
            client.admin.command({"setParameter": 1, "minSnapshotHistoryWindowInSeconds": 0})
            for number in range(20):
                client["other"]["moves"].insert_one({"_id": number})
                client.admin.command("fsync")
        yield from real(self)

    monkeypatch.setattr(snapshot_module.Snapshot, "parts", late)
    with pytest.raises(StartError, match="longer than MongoDB keeps the history"):
        back_up(settings, tmp_path / "b.tar")
    assert not list(tmp_path.glob("*b.tar*"))


@pytest.mark.parametrize("how", ["cut short", "one byte changed", "a member too many", "a path outside"])
def test_a_damaged_backup_is_refused(settings: Settings, mongo: EmbeddedMongo, tmp_path: Path, how: str) -> None:
    """A backup that is not whole restores nothing, and the folder stays as it was."""
    file = tmp_path / "b.tar"
    back_up(settings, file)
    content = bytearray(file.read_bytes())
    if how == "cut short":
        file.write_bytes(content[: len(content) * 2 // 3])
    elif how == "one byte changed":
        at = content.index(b"models/v-1/model.safetensors", content.index(b"files/models") + 512)
        content[at] ^= 1
        file.write_bytes(content)
    else:
        (tmp_path / "more").write_text("more")
        with tarfile.open(file, "a") as tar:
            tar.add(tmp_path / "more", "files/../more" if how == "a path outside" else "files/models/more")
    elsewhere = settings.model_copy(update={"data_dir": tmp_path / "elsewhere"})
    with pytest.raises(ValueError, match="no whole backup"):
        restore(elsewhere, file)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_servers_of_the_old_store_refuse_the_restored_one(
    settings: Settings, mongo: EmbeddedMongo, tmp_path: Path
) -> None:
    """R3: a process that served the store before its restore notices that it is another one."""
    reconnects = Reconnects()
    with connect(mongo.uri, 5, NoSignals(), reconnects) as client:
        dao = MongoDao(client["clickstream"], reconnects=reconnects)
        dao.ping()
        back_up(settings, tmp_path / "b.tar")
        mongo.stop()
        os.rename(settings.data_dir, tmp_path / "old")
        restore(settings, tmp_path / "b.tar")
        again = EmbeddedMongo(settings.data_dir / "mongodb", 0.25)
        again.start()
        try:
            with pytest.raises(Unavailable, match="other data"):
                dao.sessions.append(session_drafts(1, "late"))
        finally:
            again.stop()


def test_a_backup_needs_an_embedded_mongodb_and_a_new_file(tmp_path: Path) -> None:
    """Without data, with a MongoDB of one's own or over a file that is there, nothing is written."""
    with pytest.raises(ValueError, match="no data"):
        back_up(Settings(data_dir=tmp_path), tmp_path / "b.tar")
    with pytest.raises(ValueError, match="mongodump"):
        back_up(Settings(data_dir=tmp_path, mongodb_uri="mongodb://localhost"), tmp_path / "b.tar")
    (tmp_path / "mongodb").mkdir()
    (tmp_path / "mongodb" / "WiredTiger").touch()
    (tmp_path / "b.tar").touch()
    with pytest.raises(ValueError, match="exists already"):
        back_up(Settings(data_dir=tmp_path), tmp_path / "b.tar")
