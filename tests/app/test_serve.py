"""`clickstream serve` as a process: start, drain and what it does not load (R20)."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from embedding_studio.clickstream.v1 import training_service_pb2 as training_pb
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceStub
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from embedding_studio.clickstream.v1.training_service_pb2_grpc import TrainingServiceStub
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.builders import create_request, release_request
from support.servers import ServeProcess, reason, refused, wait_for

from clickstream.dao.embedded_mongod import EmbeddedMongo

HEAVY = ("torch", "transformers", "sentence_transformers", "numpy")


def test_serving_imports_no_training_library() -> None:
    """Importing everything that `serve` needs loads neither torch nor its kin."""
    script = f"import sys, clickstream.app, clickstream.cli; print([m for m in {HEAVY} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"


@pytest.mark.alone
def test_serve_is_up_beside_a_running_mongod_without_torch(
    serve: Callable[..., ServeProcess], mongod: EmbeddedMongo, record_property: Callable[[str, Any], None]
) -> None:
    """The process loads no torch and serves within seconds (the report shows the time; the target is 2 s)."""
    process = serve(MONGODB_URI=mongod.uri, CLICKSTREAM_DATABASE="starts")
    record_property("start_seconds", process.start_seconds)
    assert "torch" not in Path(f"/proc/{process.pid}/maps").read_text()
    with grpc.insecure_channel(process.address) as channel:
        status = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status
    assert status == health_pb2.HealthCheckResponse.SERVING
    assert process.start_seconds < 10


@pytest.mark.alone
def test_r3_r20_sigterm_drains_and_the_next_start_has_every_write(serve: Callable[..., ServeProcess]) -> None:
    """R3, R20: SIGTERM ends streams with UNAVAILABLE and the process with 0; the next start has every write."""
    process = serve(CLICKSTREAM_RUN_TRAINING="false")
    with grpc.insecure_channel(process.address) as channel:
        clickstream: Any = ClickstreamServiceStub(channel)
        answers = [clickstream.CreateSession.future(create_request(f"s-{number}")) for number in range(50)]
        assert answers[0].result().created
        [answer.result() for answer in answers]
        BatchServiceStub(channel).ReleaseBatch(release_request("r-1"))
        training: Any = TrainingServiceStub(channel)
        training.StartTraining(training_pb.StartTrainingRequest(run_id="run-1", batch_ids=["batch-1"]))
        watch = training.WatchTrainingRun(training_pb.WatchTrainingRunRequest(run_id="run-1"))
        assert next(watch).run.run_id == "run-1"
        writes = [clickstream.CreateSession.future(create_request(f"late-{number}")) for number in range(200)]
        began = time.monotonic()
        process.terminate()
        error = refused(lambda: watch)
        assert (error.code(), reason(error)) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        finished = [f"late-{number}" for number, write in enumerate(writes) if write.exception() is None]
        codes = {write.exception().code() for write in writes if write.exception() is not None}
        assert codes <= {grpc.StatusCode.UNAVAILABLE}
    assert process.wait() == 0
    assert time.monotonic() - began < 15
    again = serve(CLICKSTREAM_RUN_TRAINING="false")
    with grpc.insecure_channel(again.address) as channel:
        clickstream = ClickstreamServiceStub(channel)
        for session_id in ["s-0", "s-49", *finished]:
            assert not clickstream.CreateSession(create_request(session_id)).created
    again.terminate()
    assert again.wait() == 0


def test_r20_sighup_drains_like_sigterm(serve: Callable[..., ServeProcess]) -> None:
    """R20: a closed terminal ends the process with 0, after a drain."""
    process = serve(CLICKSTREAM_RUN_TRAINING="false")
    os.kill(process.pid, signal.SIGHUP)
    assert process.wait() == 0
    assert "draining" in process.read_log().decode()


def test_r20_readiness_falls_while_mongodb_is_away(serve: Callable[..., ServeProcess], tmp_path: Path) -> None:
    """R20: while MongoDB is stopped the server lives and is not ready; once MongoDB is back it is ready."""
    mongo = EmbeddedMongo(tmp_path / "own", 0.25)
    mongo.start()
    try:
        process = serve(MONGODB_URI=mongo.uri, CLICKSTREAM_RUN_TRAINING="false", CLICKSTREAM_STORE_TIMEOUT="2")
        with grpc.insecure_channel(process.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)

            def status(name: str) -> int:
                return int(health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5).status)

            wait_for(lambda: status("readiness") == health_pb2.HealthCheckResponse.SERVING)
            os.kill(mongo.pid, signal.SIGSTOP)
            wait_for(lambda: status("readiness") == health_pb2.HealthCheckResponse.NOT_SERVING)
            assert status("") == health_pb2.HealthCheckResponse.SERVING
            os.kill(mongo.pid, signal.SIGCONT)
            wait_for(lambda: status("readiness") == health_pb2.HealthCheckResponse.SERVING)
    finally:
        os.kill(mongo.pid, signal.SIGCONT)
        mongo.stop()


@pytest.mark.parametrize(
    ("environment", "reason_in_log"),
    [
        ({"CLICKSTREAM_IMPORTANCE_POLICY": "/nowhere.toml"}, "importance policy /nowhere.toml"),
        ({"CLICKSTREAM_RUN_LEASE": "soon"}, "CLICKSTREAM_RUN_LEASE"),
        ({"MONGODB_URI": "mongodb://127.0.0.1:1/?directConnection=true", "CLICKSTREAM_STORE_TIMEOUT": "1"}, "MongoDB"),
    ],
)
def test_a_failed_start_is_explained_in_a_line(tmp_path: Path, environment, reason_in_log: str) -> None:
    """A bad setting, policy or database ends the start with a reason and no traceback."""
    command = [sys.executable, "-m", "clickstream", "serve", "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path)]
    ended = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    assert reason_in_log in ended.stderr
    assert "Traceback" not in ended.stderr
