"""`examples/nightly.sh`, run as a scheduler runs it: night after night, on a real server with a tiny model."""

import json
import os
import random
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import grpc
import pytest
from embedding_studio.clickstream.v1 import clickstream_service_pb2, session_pb2
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from support.servers import ServeProcess
from support.shop_log import THINGS, WANTED

from clickstream.client.admin import AdminClient

SCRIPT = Path(__file__).parents[2] / "examples" / "nightly.sh"
TRAINING = {
    "item_template": "{title}", "epochs": 6, "batch_queries": 16, "learning_rate": 1e-2, "max_tokens": 16,
    "position_bias": "none",
}  # fmt: skip


def play(channel: grpc.Channel, night: str, wanted: Mapping[str, str]) -> None:
    """160 searches of a shop whose customers say one word and mean another."""
    stub = ClickstreamServiceStub(channel)
    source = random.Random(3)
    searches = [(wish, meant, thing) for wish, meant in wanted.items() for thing in THINGS] * 2
    for number, (wish, meant, thing) in enumerate(searches):
        shown = [meant, *source.sample([other for other in wanted.values() if other != meant], 5)]
        source.shuffle(shown)
        session = session_pb2.Session(session_id=f"{night}-{number}", query=f"{wish} {thing}")
        for word in shown:
            session.results.add(object_id=f"{word}-{thing}").meta["title"] = f"{word} {thing}"
        stub.CreateSession(clickstream_service_pb2.CreateSessionRequest(session=session), timeout=60)
        click = session_pb2.Event(event_id="click", object_id=f"{meant}-{thing}", type="click")
        push = clickstream_service_pb2.PushEventsRequest(session_id=session.session_id, events=[click])
        stub.PushEvents(push, timeout=60)


@pytest.fixture
def night(serve: Callable[..., ServeProcess], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the script against a server whose base model is the tiny one; the index is a file with what it was given."""
    from support.tiny_encoder import make_tiny_encoder

    server = serve(CLICKSTREAM_BASE_MODEL=str(make_tiny_encoder(tmp_path / "tiny")))
    titles = [f"{word} {thing}" for word in WANTED.values() for thing in THINGS]
    lines = [json.dumps({"object_id": title.replace(" ", "-"), "title": title}) for title in titles]
    (tmp_path / "items.jsonl").write_text("\n".join([*lines, '{"object_id": "without-text"}']))
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    executable(bin_folder / "clickstream", f'exec "{sys.executable}" -m clickstream "$@"')
    executable(bin_folder / "switch", f'echo "$1 $2" >> "{tmp_path / "index"}"')
    options = [word for name, value in TRAINING.items() for word in ("--set", f"{name}={value}")]

    def run(name: str, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "CLICKSTREAM_ADDRESS": server.address,
            "ITEMS": str(tmp_path / "items.jsonl"),
            "SWITCH_INDEX": str(bin_folder / "switch"),
            "VECTORS": str(tmp_path / "vectors"),
            "MIN_SESSIONS": "100",
            "NIGHT": name,
        }
        return subprocess.run(
            [SCRIPT, *options], env=os.environ | variables | environment, capture_output=True, text=True, timeout=240
        )

    run.address = server.address  # type: ignore[attr-defined]
    return run


def executable(path: Path, line: str) -> None:
    """Writes a script of one line."""
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_r17_every_night_is_right(night, tmp_path: Path) -> None:
    """R17: each night trains from what serves, switches the index before it promotes, and may be run again."""
    with grpc.insecure_channel(night.address) as channel:
        client = AdminClient(channel)
        quiet = night("2026-05-03")
        assert (quiet.returncode, quiet.stdout) == (0, "nothing to do tonight\n"), quiet.stderr

        play(channel, "first", WANTED)
        first = served_after(night("2026-05-04"), client, tmp_path)
        assert client.model_version(first).parent_model_version_id == ""

        # Tastes change, so that the second night has something to learn.
        meanings = list(WANTED.values())
        play(channel, "second", dict(zip(WANTED, [*meanings[1:], meanings[0]], strict=True)))
        second = served_after(night("2026-05-05"), client, tmp_path)
        assert second != first
        assert client.model_version(second).parent_model_version_id == first

        again = night("2026-05-05")
        assert again.returncode == 0, again.stderr
        assert client.serving_version_id() == second

        switched = (tmp_path / "index").read_text()
        older = night("2026-05-04")
        assert older.returncode == 5
        assert f"{second} serves by now" in older.stderr
        assert (tmp_path / "index").read_text() == switched
        assert [run.run_id for run in client.training_runs()] == ["night-2026-05-05", "night-2026-05-04"]


def served_after(ran: subprocess.CompletedProcess[str], client: AdminClient, folder: Path) -> str:
    """The version that serves after a night: its vectors are whole, and the index has them."""
    assert ran.returncode == 0, ran.stdout + ran.stderr
    version = client.serving_version_id()
    file = folder / "vectors" / f"{version}.npy"
    assert (folder / "index").read_text().splitlines()[-1] == f"{file} {version}"
    metadata = json.loads(file.with_suffix(".json").read_text())
    assert (metadata["model_version_id"], metadata["item_template"]) == (version, "{title}")
    assert (metadata["rows"], metadata["items_without_text"]) == (len(WANTED) * len(THINGS), 1)
    assert "promotion" in ran.stdout
    return version
