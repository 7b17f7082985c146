"""A replica set of three real mongods on loopback, to kill, stop and start again."""

import contextlib
import functools
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from clickstream.dao.embedded_mongod import _mongod
from clickstream.processes.parent_death import stop_with_parent
from support.servers import wait_for

MEMBERS = 3
NAME = "three"


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


class ReplicaSet:
    """Three members, each with a folder of its own. A context manager; it ends the processes that it started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = [free_port() for _ in range(MEMBERS)]
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * MEMBERS
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        self.uri = f"mongodb://{hosts}/clickstream?replicaSet={NAME}"

    def __enter__(self) -> "ReplicaSet":
        try:
            for member in range(MEMBERS):
                self.start(member)
            self._initiate()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if process is not None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()

    def start(self, member: int) -> None:
        """Starts a member."""
        folder = self._folder / f"member-{member}"
        folder.mkdir(parents=True, exist_ok=True)
        self._processes[member] = subprocess.Popen(
            [
                *[str(_mongod(self._folder)), "--dbpath", str(folder), "--port", str(self._ports[member])],
                *["--bind_ip", "127.0.0.1", "--nounixsocket", "--replSet", NAME, "--wiredTigerCacheSizeGB", "0.25"],
                *["--oplogSize", "100", "--quiet", "--logpath", str(folder / "mongod.log"), "--logappend"],
                *["--setParameter", "diagnosticDataCollectionEnabled=false"],
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=functools.partial(stop_with_parent, os.getpid()),
        )

    def kill(self, member: int) -> None:
        """Kills a member with SIGKILL."""
        process = self._processes[member]
        assert process is not None
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()

    def signal(self, member: int, number: signal.Signals) -> None:
        """Sends a member a signal: SIGSTOP and SIGCONT."""
        process = self._processes[member]
        assert process is not None
        os.kill(process.pid, number)

    def _initiate(self) -> None:
        members = [{"_id": member, "host": f"127.0.0.1:{port}"} for member, port in enumerate(self._ports)]
        # Failovers within two seconds instead of ten: rounds are short.
        config = {"_id": NAME, "members": members, "settings": {"electionTimeoutMillis": 2_000}}
        direct = f"mongodb://127.0.0.1:{self._ports[0]}/?directConnection=true"

        def initiated() -> bool:
            with (
                contextlib.suppress(PyMongoError),
                pymongo.MongoClient[dict[str, Any]](direct, serverSelectionTimeoutMS=500) as client,
            ):
                client.admin.command("replSetInitiate", config)
                return True
            return False

        wait_for(initiated)
        wait_for(lambda: self.primary() is not None, 60)

    def primary(self) -> int | None:
        """The member that takes writes now; None without one."""
        with pymongo.MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=500) as client:
            try:
                hello = client.admin.command("hello")
            except PyMongoError:
                return None
            port = int(str(hello.get("primary", ":0")).rpartition(":")[2])
            return self._ports.index(port) if hello.get("isWritablePrimary") and port in self._ports else None

    def wait_for_primary(self, patience: float = 60) -> float:
        """Waits until a member takes writes; returns the seconds that it took."""
        began = time.monotonic()
        wait_for(lambda: self.primary() is not None, patience)
        return time.monotonic() - began
