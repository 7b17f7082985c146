"""Several serving processes on one port: how they share it, what prevents their start, how they are kept running."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from embedding_studio.clickstream.v1 import training_service_pb2 as training_pb
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceStub
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from embedding_studio.clickstream.v1.training_service_pb2_grpc import TrainingServiceStub
from pymongo.database import Database
from support.builders import create_request, release_request
from support.processes import CLIENTS, children, clients, connections
from support.servers import PATIENCE, ServeProcess, until

from clickstream.app import supervisor
from clickstream.app.settings import Settings
from clickstream.app.supervisor import Child, reserved, running
from clickstream.cli.exit_codes import ExitCode
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document
from clickstream.domain.errors import StartError

Serve = Callable[..., ServeProcess]


def test_processes_take_shares_of_one_port(serve: Serve, mongod: EmbeddedMongo, database: Database[Document]) -> None:
    """Two pinned processes answer on one port, which the log names once; Ctrl-C reaches neither of them."""
    server = serve("--processes", "2", "--pin", MONGODB_URI=mongod.uri, CLICKSTREAM_DATABASE=database.name)
    pids = children(server.pid, b"serve")
    with clients(server.address) as channels:
        for number, channel in enumerate(channels):
            clickstream: Any = ClickstreamServiceStub(channel)
            assert clickstream.CreateSession(create_request(f"s-{number}"), timeout=PATIENCE).created
        shares = [connections(pid, server.address) for pid in pids]
    assert len(shares) == 2
    assert min(shares) > 0
    assert sum(shares) == CLIENTS
    usable = sorted(os.sched_getaffinity(0))
    assert [os.sched_getaffinity(pid) for pid in pids] == [{usable[index % len(usable)]} for index in range(2)]
    [trainer] = children(server.pid, b"trainer")
    assert all(os.getsid(pid) == pid for pid in [*pids, trainer])
    assert os.sched_getaffinity(trainer) == os.sched_getaffinity(server.pid) == set(usable)
    assert server.log.count(b"listening on") == 1


def test_training_runs_in_a_process_of_its_own(
    serve: Serve, mongod: EmbeddedMongo, database: Database[Document]
) -> None:
    """One serving process works on training runs, and the trainer does the training: no serving process loads torch."""
    server = serve("--processes", "2", "--no-pin", MONGODB_URI=mongod.uri, CLICKSTREAM_DATABASE=database.name)
    with grpc.insecure_channel(server.address) as channel:
        ClickstreamServiceStub(channel).CreateSession(create_request("s-1"))
        BatchServiceStub(channel).ReleaseBatch(release_request("r-1"))
        training: Any = TrainingServiceStub(channel)
        training.StartTraining(training_pb.StartTrainingRequest(run_id="run-1", batch_ids=["batch-1"]))
        watched = training.WatchTrainingRun(training_pb.WatchTrainingRunRequest(run_id="run-1"), timeout=120)
        last = list(watched)[-1].run
    assert (last.state, last.attempts) == (runs_pb.TRAINING_RUN_STATE_FAILED, 1), last.reason
    [trainer] = children(server.pid, b"trainer")
    assert "libtorch" in Path(f"/proc/{trainer}/maps").read_text()
    pids = children(server.pid, b"serve")
    works = [b"CLICKSTREAM_RUN_TRAINING=True" in Path(f"/proc/{pid}/environ").read_bytes() for pid in pids]
    assert works == [True, False]
    for pid in [server.pid, *pids]:
        assert "libtorch" not in Path(f"/proc/{pid}/maps").read_text()
        assert os.sched_getaffinity(pid) == os.sched_getaffinity(0)


def failed_start(
    tmp_path: Path, listen: str = "127.0.0.1:0", code: ExitCode = ExitCode.FAILED, **environment: str
) -> str:
    """Runs a server that must fail to start; returns its stderr."""
    command = [sys.executable, "-m", "clickstream", "serve", "--processes", "2"]
    command += ["--listen", listen, "--data-dir", str(tmp_path)]
    ended = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == code
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_a_taken_port_is_explained(
    serve: Serve, mongod: EmbeddedMongo, database: Database[Document], tmp_path: Path
) -> None:
    """Processes never join the port of another server, even if that also consists of processes."""
    server = serve("--processes", "1", MONGODB_URI=mongod.uri, CLICKSTREAM_DATABASE=database.name)
    stderr = failed_start(tmp_path, server.address, MONGODB_URI=mongod.uri)
    assert stderr.startswith(f"clickstream: cannot listen on {server.address}: is the port taken?")


def test_a_port_is_reserved_for_one_server() -> None:
    """A reserved port is refused to other servers before any process listens on it, and is free afterwards."""
    with reserved("127.0.0.1:0") as address:
        assert not address.endswith(":0")
        with pytest.raises(StartError, match=f"cannot listen on {address}.*taken"), reserved(address):
            pass
    with reserved(address) as again:
        assert again == address


def test_a_port_that_others_share_is_refused() -> None:
    """A port on which a foreign server listens with SO_REUSEPORT is refused, too."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(StartError, match=f"cannot listen on {address}.*taken"), reserved(address):
            pass


@pytest.mark.parametrize("listen", ["unix:/tmp/socket", "127.0.0.1", "127.0.0.1:65536", "no.such.host.invalid:1"])
def test_an_address_that_cannot_be_shared_is_refused(listen: str) -> None:
    """The refusal names an address that is not HOST:PORT of this machine."""
    with pytest.raises(StartError, match=listen), reserved(listen):
        pass


@pytest.mark.parametrize(
    ("environment", "cause", "code"),
    [
        ({"CLICKSTREAM_IMPORTANCE_POLICY": "/nowhere.toml"}, "importance policy /nowhere.toml", ExitCode.WRONG_USE),
        (
            {"MONGODB_URI": "mongodb://127.0.0.1:1/?directConnection=true", "CLICKSTREAM_STORE_TIMEOUT": "1"},
            "no MongoDB at 127.0.0.1:1: nothing listens there",
            ExitCode.SERVER_AWAY,
        ),
    ],
)
def test_the_cause_of_a_failed_start_is_reported_once(
    tmp_path: Path, environment: dict[str, str], cause: str, code: ExitCode
) -> None:
    """An unusable policy or database ends the start with one line for all processes, and its own exit code."""
    line = failed_start(tmp_path, code=code, **environment)
    assert cause in line
    assert line.count("\n") == 1


def test_a_process_that_cannot_start_ends_the_start(
    mongod: EmbeddedMongo, database: Database[Document], tmp_path: Path, monkeypatch, capfd
) -> None:
    """A failed first start is not repeated: its process reports the reason, and the others are stopped."""
    monkeypatch.setenv("CLICKSTREAM_DATABASE", database.name)
    settings = Settings(processes=2, data_dir=tmp_path)

    async def start(address: str) -> None:
        async with running(settings, address, "", mongod.uri):
            pass

    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(StartError, match="serving process 1 ended before it was up"):
            asyncio.run(start(address))
    assert f"cannot listen on {address}" in capfd.readouterr().err
    assert not children(os.getpid(), b"serve") + children(os.getpid(), b"trainer")


def test_r20_the_trainer_stops_after_the_serving_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R20: serving processes drain side by side, and the trainer is there until the last of them has ended."""
    events: list[str] = []
    both_stop = asyncio.Barrier(2)

    class Recorded(Child):
        """A child without a process."""

        async def start(self) -> None:
            events.append(f"{self._name} starts")

        async def stop(self, patience: float) -> None:
            events.append(f"{self._name} stops")
            if self._name.startswith("serving"):
                await both_stop.wait()
            await asyncio.sleep(0)
            events.append(f"{self._name} has stopped")

    monkeypatch.setattr(supervisor, "Child", Recorded)

    async def scenario() -> None:
        async with running(Settings(processes=2, data_dir=tmp_path), "127.0.0.1:1", "", "mongodb://127.0.0.1:1"):
            assert sorted(events) == ["serving process 1 starts", "serving process 2 starts", "trainer starts"]
            events.clear()

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE))
    assert sorted(events[:2]) == ["serving process 1 stops", "serving process 2 stops"]
    assert sorted(events[2:4]) == ["serving process 1 has stopped", "serving process 2 has stopped"]
    assert events[4:] == ["trainer stops", "trainer has stopped"]


@pytest.mark.parametrize(
    ("processes", "pin", "pinned"), [(1, None, True), (2, None, False), (2, True, True), (1, False, False)]
)
def test_processes_keep_to_a_core_if_one_is_left(processes: int, pin: bool | None, pinned: bool, monkeypatch) -> None:
    """On two cores one process is pinned and two are not; the setting overrides that."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    assert supervisor.pins(Settings(processes=processes, pin=pin)) is pinned


def test_a_process_that_dies_at_once_is_restarted_less_and_less_often(monkeypatch, caplog) -> None:
    """The pause before a restart doubles up to a limit; the log names process and exit code."""
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.04)
    script = "import os; os.write(int(os.environ['CLICKSTREAM_READY_FD']), b'.'); os._exit(7)"

    async def keep() -> None:
        child = Child("short-lived process", [sys.executable, "-c", script], {})
        await child.start()
        keeping = asyncio.create_task(child.keep())
        await until(lambda: len(caplog.records) >= 4)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await child.stop(PATIENCE)

    with caplog.at_level(logging.ERROR):
        asyncio.run(keep())
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition("again in ")[2] for line in lines[:4]] == ["0.01 s", "0.02 s", "0.04 s", "0.04 s"]
    assert "the short-lived process (pid " in lines[0]
    assert "exit code 7" in lines[0]


def test_a_process_that_does_not_stop_is_killed() -> None:
    """A process that does not end after SIGTERM gets SIGKILL."""
    script = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "os.write(int(os.environ['CLICKSTREAM_READY_FD']), b'.'); time.sleep(60)"
    )

    async def stop() -> None:
        child = Child("stubborn process", [sys.executable, "-c", script], {})
        await child.start()
        await child.stop(patience=0.1)

    before = children(os.getpid())
    asyncio.run(asyncio.wait_for(stop(), PATIENCE))
    assert children(os.getpid()) == before
