"""`clickstream worker` as a process: what it needs, what it does, and how it stops (R15, R16, R20)."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from embedding_studio.clickstream.v1.improvement_service_pb2_grpc import ImprovementServiceStub
from pymongo.database import Database
from support.builders import create_request, event, push_request, queries, training_run
from support.processes import processor_seconds
from support.servers import PATIENCE, ServeProcess, wait_for
from support.whole_path import play_searches, release

from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.improvement import ImprovementState
from clickstream.domain.query_split import MIN_HELD_OUT_QUERIES, MIN_TRAINING_QUERIES
from clickstream.domain.runs import ENDED, FineTuningSettings, RunState

LEASE = 30


@pytest.fixture
def environment(mongod: EmbeddedMongo, database: Database[Document]) -> dict[str, str]:
    """The database of this test, for a process."""
    named = {"MONGODB_URI": mongod.uri, "CLICKSTREAM_DATABASE": database.name}
    return {**named, "CLICKSTREAM_RUN_LEASE": str(LEASE), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Callable[..., ServeProcess]]:
    """Starts `clickstream worker` processes; those still running at the end are killed."""
    started: list[ServeProcess] = []

    def start(**environment: str) -> ServeProcess:
        started.append(ServeProcess(tmp_path / "worker", environment, "worker", None))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def test_r16_r20_a_stopped_worker_gives_its_run_back(
    serve: Callable[..., ServeProcess],
    work: Callable[..., ServeProcess],
    environment: dict[str, str],
    database: Database[Document],
    tiny_encoder: Path,
) -> None:
    """R16, R20: a worker process that is stopped exits with 0, and the next worker resumes its run."""
    server = serve(**environment, CLICKSTREAM_RUN_TRAINING="false")
    with grpc.insecure_channel(server.address) as channel:
        play_searches(channel)
        release(channel)
    runs = MongoDao(database).runs
    settings = FineTuningSettings(str(tiny_encoder), "{title}", epochs=90, max_tokens=16)
    runs.create(replace(training_run(), settings=settings))

    def step() -> int:
        run = runs.get("run-1")
        assert run.state not in ENDED, run.reason
        return run.progress.step if run.progress else 0

    first = work(**environment)
    wait_for(lambda: step() > 20, patience=120)
    first.terminate()
    assert first.wait() == 0
    given_back = runs.get("run-1")
    assert (given_back.state, given_back.attempts) == (RunState.RUNNING, 0)
    work(**environment)
    wait_for(lambda: runs.get("run-1").attempts == 1, patience=LEASE / 3)
    went_on = wait_for(lambda: step() != given_back.progress.step and step(), patience=120)
    assert went_on > 10, "it began again"


def test_r15_a_serving_process_looks_after_the_queue(
    serve: Callable[..., ServeProcess], environment: dict[str, str], database: Database[Document]
) -> None:
    """R15: by default no worker process is needed; a run of the queue lists its sessions."""
    asked = queries(MIN_HELD_OUT_QUERIES, MIN_TRAINING_QUERIES)
    group = {"CLICKSTREAM_IMPROVEMENT_GROUP": str(len(asked)), "CLICKSTREAM_TRAINER": "127.0.0.1:1"}
    server = serve(**environment, **group)
    with grpc.insecure_channel(server.address) as channel:
        for number, query in enumerate(asked, start=1):
            session_id = f"s-{number}"
            ClickstreamServiceStub(channel).CreateSession(create_request(session_id, query=query), timeout=PATIENCE)
            ClickstreamServiceStub(channel).PushEvents(push_request(session_id, event()), timeout=PATIENCE)
            use = improvement_pb.UseSessionForImprovementRequest(session_id=session_id)
            ImprovementServiceStub(channel).UseSessionForImprovement(use, timeout=PATIENCE)
    dao = MongoDao(database)
    wait_for(lambda: dao.improvement.get("s-1").state is ImprovementState.PROCESSING)
    run = wait_for(lambda: dao.runs.get(dao.improvement.get("s-1").run_id))
    assert (run.from_improvement_queue, run.batches) == (True, ())


@pytest.mark.alone
def test_an_idle_worker_leaves_the_processor_alone(
    work: Callable[..., ServeProcess], environment: dict[str, str]
) -> None:
    """A worker without work waits without a busy loop.

    It takes some 0.3 % of a core; the bound of 5 % allows for noisy machines, and a busy loop takes about 100 %.
    """
    worker = work(**environment)
    time.sleep(3)  # it has looked, and follows the changes
    used, began = processor_seconds(worker.pid), time.monotonic()
    time.sleep(10)
    share = (processor_seconds(worker.pid) - used) / (time.monotonic() - began)
    assert share < 0.05, f"{share:.1%} of a core"


def test_a_worker_names_what_it_lacks(tmp_path: Path) -> None:
    """Without a database a worker would have nothing to work on: it says so in one line, with exit code 2."""
    command = [sys.executable, "-m", "clickstream", "worker", "--data-dir", str(tmp_path)]
    ended = subprocess.run(command, env=os.environ | {"MONGODB_URI": ""}, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert "MONGODB_URI" in line
