"""The server behind the cookbook: a real one over a store in memory. Its time stands still, its trainer is scripted."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from clickstream.analytics.frame_rules import FrameRules
from clickstream.analytics.rollups import RollUps
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.analytics import Segments
from clickstream.domain.runs import CurvePoint, Phase, RunState, TrainingProgress
from clickstream.domain.training_inputs import ConversionSummary
from support.builders import NOW, SECOND, model_version, training_run
from support.memory_store import MemoryDao
from support.model_calls import promote
from support.rollup_making import make_all
from support.servers import POLICY, Clock, InProcessServer

FILES = {"model_version.json": b"{}", "model.safetensors": b"weights"}
AND_MORE = "…"
"""In an answer on a page: a value that differs from call to call, or the fields and rows that the page leaves out."""
TOOLS = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


@contextmanager
def cookbook_server(models: Path) -> Iterator[InProcessServer]:
    """The server. Files of model versions are in the folder `models`."""
    server = InProcessServer(MemoryDao(), Clock())
    server.models = models
    server.load_embedder = lambda _: lambda kind, texts: [[0.6, 0.8] for _ in texts]
    with server:
        server._server.set_ready(True)
        yield server


def train(dao: ClickstreamDao, models: Path, run_id: str, seconds: int = 0) -> str:
    """Plays the worker and the trainer of a queued run, which succeeds with a version; returns the version's id."""
    version_id = f"{run_id}-0123456789ab"
    assert dao.runs.claim("worker", NOW, NOW + 60 * SECOND) is not None
    dao.runs.set_conversion(run_id, "worker", ConversionSummary("test-1"))
    points = (CurvePoint(1, NOW, 0.75, 1e-4), CurvePoint(2, NOW, 0.5, 5e-5, {"ndcg_at_10": 0.5}))
    dao.runs.renew(run_id, "worker", NOW + 60 * SECOND, TrainingProgress(Phase.TRAINING, 10, 2, 2, points=points))
    at = NOW + seconds * SECOND
    version = replace(model_version(run_id), model_version_id=version_id, created_at=at)
    assert dao.runs.finish(run_id, "worker", RunState.SUCCEEDED, version.gate_reason, version, at)
    for name, content in FILES.items():
        path = models / version_id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return version_id


def train_and_promote_an_older_one(server: InProcessServer, run_id: str) -> None:
    """Adds a version that serves already."""
    server.dao.runs.create(training_run(run_id, at=NOW - 60 * SECOND))
    version_id = train(server.dao, server.models, run_id, -60)
    promote(server, version_id, f"deploy-{run_id}")


def an_hour_later(server: InProcessServer) -> None:
    """Moves the time of the server forward, and makes the roll-ups as a worker does."""
    clock = server._clock
    assert isinstance(clock, Clock)
    clock.forward(3600)
    make_all(RollUps(server.dao, FrameRules(POLICY, Segments(("locale",), ("brand",)), "{title}")), server.dao)


def run_block(code: str, address: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the commands of a block against a server."""
    code = code.replace("localhost:50051", address)
    named = os.environ | {"S": address, "P": "embedding_studio.clickstream.v1", "PATH": TOOLS} | environment
    return subprocess.run(["bash", "-c", code], env=named, capture_output=True, text=True, timeout=60, check=False)


def documents(text: str) -> list[Any]:
    """The JSON documents in a text, one after another, with the contract's names of fields."""
    found, rest = [], text.strip()
    while rest:
        document, end = json.JSONDecoder().raw_decode(rest)
        found.append(_with_the_names_of_the_contract(document))
        rest = rest[end:].strip()
    return found


def _with_the_names_of_the_contract(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            re.sub("(?<=[a-z0-9])([A-Z])", r"_\1", key).lower(): _with_the_names_of_the_contract(each)
            for key, each in value.items()
        }
    return [_with_the_names_of_the_contract(each) for each in value] if isinstance(value, list) else value


def differences(written: Any, answered: Any, path: str = "") -> list[str]:
    """Where an answer differs from the one that a page shows."""
    if written == AND_MORE:
        return []
    if isinstance(written, dict) and isinstance(answered, dict):
        keys = written.keys() if AND_MORE in written else written.keys() | answered.keys()
        pairs = [(f"{path}.{key}", written.get(key), answered.get(key)) for key in keys - {AND_MORE}]
    elif isinstance(written, list) and isinstance(answered, list):
        shown = written[:-1] if written[-1:] == [AND_MORE] else written
        count = len(shown) if shown is not written else max(len(written), len(answered))
        pairs = [
            (f"{path}[{at}]", *(side[at] if at < len(side) else None for side in (shown, answered)))
            for at in range(count)
        ]
    else:
        return [] if written == answered else [f"{path}: {written!r} is written, {answered!r} is answered"]
    return [each for where, one, other in pairs for each in differences(one, other, where)]
