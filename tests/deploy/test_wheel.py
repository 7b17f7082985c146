"""The wheel alone serves, without torch."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from support import parts

from clickstream.dao.embedded_mongod import EmbeddedMongo

ROOT = Path(__file__).parents[2]
JOB = """
import importlib.util, os, re, subprocess, sys
import grpc
from embedding_studio.clickstream.v1 import batch_service_pb2 as batch, clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1 import training_service_pb2 as training
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceStub
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from embedding_studio.clickstream.v1.training_service_pb2_grpc import TrainingServiceStub

assert all(importlib.util.find_spec(name) is None for name in ("torch", "numpy", "pytest", "fiftyone"))
serve = subprocess.Popen(
    [os.path.join(os.path.dirname(sys.executable), "clickstream"), "serve", "--listen", "127.0.0.1:0"],
    stderr=subprocess.PIPE, text=True,
)
try:
    for line in serve.stderr:
        if found := re.search(r"listening on (\\S+)", line):
            break
    with grpc.insecure_channel(found[1]) as channel:
        clicks = ClickstreamServiceStub(channel)
        request = pb.CreateSessionRequest()
        request.session.session_id, request.session.query = "s-1", "red shoe"
        request.session.results.add(object_id="a")
        clicks.CreateSession(request, timeout=20)
        push = pb.PushEventsRequest(session_id="s-1")
        push.events.add(event_id="e-1", object_id="a", type="click")
        clicks.PushEvents(push, timeout=20)
        released = BatchServiceStub(channel).ReleaseBatch(batch.ReleaseBatchRequest(release_id="r-1"), timeout=20)
        asked = training.StreamTrainingInputsRequest(batch_id=released.batch.batch_id)
        answers = list(TrainingServiceStub(channel).StreamTrainingInputs(asked, timeout=20))
        assert answers[0].input.results[0].grade > 0
    serve.terminate()
    assert serve.wait(30) == 0
    print("the main job is done")
finally:
    serve.kill()
"""


def pip(python: str, *words: str) -> None:
    """Runs pip in an environment."""
    command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)
    if "Could not find a version" in ran.stderr or "Connection" in ran.stderr:
        parts.missing("package registry")
    assert ran.returncode == 0, ran.stderr


@pytest.mark.full
@pytest.mark.timeout(300)
def test_the_wheel_serves_in_an_empty_environment(mongod: EmbeddedMongo, tmp_path: Path) -> None:
    """`pip install clickstream` of the built wheel, in an environment of its own: from a search to a training input."""
    source = tmp_path / "source"
    for name in ("src", "generated"):  # a copy: what an earlier build left would be in the wheel
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(source))
    [wheel] = tmp_path.glob("clickstream-*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip(str(python), "install", str(wheel))
    environment = {name: value for name, value in os.environ.items() if name[:6] not in ("PYTHON", "CLICKS")}
    environment |= {
        "MONGODB_URI": mongod.uri,
        "CLICKSTREAM_DATABASE": "wheel",
        "PATH": f"{python.parent}:/usr/bin:/bin",
    }
    command = [str(python), "-c", JOB]
    ran = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=90
    )
    assert ran.stdout == "the main job is done\n", ran.stderr
