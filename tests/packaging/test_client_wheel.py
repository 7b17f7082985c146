"""The distribution clickstream-client: what it has, and that it works where nothing but grpcio and protobuf is."""

import importlib.metadata
import os
import subprocess
import sys
import venv
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from support.memory_store import MemoryDao
from support.servers import InProcessServer

ROOT = Path(__file__).parents[2]
# grpcio 1.76 itself imports typing_extensions.
NEEDED = ("grpc", "google/protobuf", "google/_upb", "typing_extensions.py")
CLICK = """
import sys
from clickstream.client import AdminClient, AnalyticsClient, AsyncClickstreamClient, ClickstreamClient, open_channel
from embedding_studio.clickstream.v1.session_pb2 import Event, Result, Session

with ClickstreamClient(sys.argv[1]) as client:
    client.register(Session(session_id="s-1", query="red shoes", results=[Result(object_id="a")]))
    client.push("s-1", Event(event_id="e-1", object_id="a", type="click"))
    client.push("absent", Event(event_id="e-1", object_id="a", type="click"))
    assert client.flush(20)
    # The reason of a refused call is read from its details.
    assert client.stats.failed == {"SESSION_NOT_FOUND": 1}, client.stats
with open_channel(sys.argv[1]) as channel:
    print(AdminClient(channel).release_batch("night").session_count)
assert not {"grpc_status", "google.rpc", "pymongo", "click"} & set(sys.modules)
"""


@pytest.fixture
def server(memory_dao: MemoryDao) -> object:
    """A server at the present time."""
    with InProcessServer(memory_dao, lambda: datetime.now(UTC)) as server:
        yield server


def sends_a_click(python: Path, server: InProcessServer, **environment: str) -> None:
    """Runs CLICK with an interpreter that has no variables of this one, and finds the click in the server."""
    ran = subprocess.run(
        [python, "-c", CLICK, server.address],
        env={"PATH": os.environ["PATH"], **environment},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, "1"), ran.stderr
    [events] = server.dao.events.of_sessions(1, 1, 1).of.values()
    assert len(events.events) == 1


def test_the_collected_client_needs_grpcio_and_protobuf_alone(server: InProcessServer, tmp_path: Path) -> None:
    """The tree of the wheel sends a search and a click where only these two packages can be imported."""
    tree, packages = tmp_path / "tree", tmp_path / "packages"
    subprocess.run([sys.executable, ROOT / "packaging" / "client" / "collect.py", tree], check=True, timeout=60)
    for name in NEEDED:
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).symlink_to(Path(grpc.__file__).parents[1] / name)
    # Without the packages of its own environment.
    base = Path(sys.base_prefix) / "bin" / "python3"
    sends_a_click(base, server, PYTHONPATH=f"{tree}:{packages}", PYTHONNOUSERSITE="1", PYTHONDONTWRITEBYTECODE="1")


@pytest.mark.full
def test_the_wheel_works_alone(server: InProcessServer, tmp_path: Path) -> None:
    """Built by scripts/build-client and installed alone into an empty environment, it sends a search and a click."""
    environment = os.environ | {"CLICKSTREAM_PYTHON": sys.executable}
    subprocess.run([ROOT / "scripts" / "build-client", tmp_path / "dist"], env=environment, check=True, timeout=120)
    [wheel] = (tmp_path / "dist").iterdir()
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / "bin" / "python"
    quiet = ["--quiet", "--disable-pip-version-check"]
    subprocess.run([python, "-m", "pip", "install", *quiet, wheel], check=True, timeout=240)
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=freeze"], check=True, capture_output=True, text=True
    )
    names = {line.partition("==")[0] for line in listed.stdout.splitlines()}
    assert names - {"pip", "setuptools"} == {"clickstream-client", "grpcio", "protobuf", "typing_extensions"}
    assert f"clickstream-client=={importlib.metadata.version('clickstream')}" in listed.stdout
    sends_a_click(python, server)
