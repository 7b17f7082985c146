"""ModelService through a real channel: versions, files and vectors."""

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from embedding_studio.clickstream.v1 import model_service_pb2 as pb
from google.rpc import error_details_pb2
from grpc import StatusCode
from support.memory_store import MemoryDao
from support.model_calls import embed, finish, lengths, promote
from support.servers import PATIENCE, Clock, InProcessServer, detail, fields, reason, refused

from clickstream.domain import limits
from clickstream.models.folders import VERSION_FILE


@pytest.fixture
def host(memory_dao: MemoryDao, clock: Clock, tmp_path: Path) -> Iterator[InProcessServer]:
    """A server whose models lie in `tmp_path` and embed a text as its length."""
    server = InProcessServer(memory_dao, clock)
    server.models = tmp_path
    server.load_embedder = lengths
    with server:
        yield server


def test_versions_are_shown_and_listed(model_server: InProcessServer) -> None:
    """Versions come newest first in pages, with the serving one named; an unknown one is NOT_FOUND."""
    for number in range(3):
        finish(model_server, f"run-{number}", number, gate_passed=number != 1)
    promote(model_server, "model-run-0", "p-1")
    token, seen = "", []
    for _ in range(3):
        page = model_server.model.ListModelVersions(pb.ListModelVersionsRequest(page_size=1, page_token=token))
        token = page.next_page_token
        seen += [(version.run_id, version.serving) for version in page.model_versions]
        assert page.serving_model_version_id == "model-run-0"
    assert seen == [("run-2", False), ("run-1", False), ("run-0", True)]
    improved = model_server.model.ListModelVersions(pb.ListModelVersionsRequest(gate_passed_only=True))
    assert [version.run_id for version in improved.model_versions] == ["run-2", "run-0"]
    error = refused(
        model_server.model.ListModelVersions, pb.ListModelVersionsRequest(page_token=token, gate_passed_only=True)
    )
    assert fields(error) == ["page_token"]
    current = model_server.model.GetModelVersion(pb.GetModelVersionRequest())
    assert (current.model_version.run_id, current.model_version.serving) == ("run-0", True)
    other = model_server.model.GetModelVersion(pb.GetModelVersionRequest(model_version_id="model-run-1")).model_version
    assert other.HasField("serving")
    assert not other.serving
    error = refused(model_server.model.GetModelVersion, pb.GetModelVersionRequest(model_version_id="x"))
    assert (error.code(), reason(error)) == (StatusCode.NOT_FOUND, "MODEL_VERSION_NOT_FOUND")


def test_a_model_is_downloaded_and_a_download_is_resumed(host: InProcessServer, tmp_path: Path) -> None:
    """The files come in chunks with checksums; a download from the middle of a file on gives exactly the rest."""
    content = {"a/weights": bytes(range(256)) * 10_000, "config.json": b"{}", VERSION_FILE: b"{}"}
    (tmp_path / "model-run-1" / "a").mkdir(parents=True)
    for name, data in content.items():
        (tmp_path / "model-run-1" / name).write_bytes(data)
    finish(host, "run-1")
    promote(host, "model-run-1", "p-1")
    first, *chunks = host.model.DownloadModel(pb.DownloadModelRequest())
    whole = b"".join(content.values())
    assert b"".join(each.chunk.data for each in chunks) == whole
    assert max(len(each.chunk.data) for each in chunks) <= limits.MODEL_CHUNK_BYTES
    assert (first.files.model_version_id, first.files.total_bytes) == ("model-run-1", len(whole))
    assert first.files.sha256 == hashlib.sha256(whole).hexdigest()
    asked = pb.DownloadModelRequest(model_version_id="model-run-1", file_name="a/weights", offset=2_000_000)
    again, *rest = host.model.DownloadModel(asked)
    assert again == first
    assert b"".join(each.chunk.data for each in rest) == whole[2_000_000:]


@pytest.mark.parametrize("named", ["missing", "../secret", ".", "..", "model/../model"])
def test_r7_a_download_reads_model_folders_only(host: InProcessServer, tmp_path: Path, named: str) -> None:
    """R7: an id without a model folder is NOT_FOUND, also one that is a path to another folder."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / VERSION_FILE).write_bytes(b"{}")
    error = refused(host.model.DownloadModel, pb.DownloadModelRequest(model_version_id=named))
    assert (error.code(), reason(error)) == (StatusCode.NOT_FOUND, "MODEL_VERSION_NOT_FOUND")


def test_r7_a_point_outside_of_a_file_names_the_field(host: InProcessServer, tmp_path: Path) -> None:
    """R7: a file or offset that does not exist is refused by name, as the machine of the models says it."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / VERSION_FILE).write_bytes(b"{}")
    (tmp_path / "model" / "file").write_bytes(b"abc")
    for values, field in (({"file_name": "x"}, "file_name"), ({"file_name": "file", "offset": -1}, "offset")):
        asked = pb.DownloadModelRequest(model_version_id="model", **values)
        assert fields(refused(host.model.DownloadModel, asked)) == [field]


def test_r7_the_limits_of_embed_are_checked(host: InProcessServer) -> None:
    """R7: no text, too many or too long texts and no kind are refused by name; so is a call while no model serves."""
    assert fields(refused(embed, host)) == ["texts"]
    assert fields(refused(embed, host, *["x"] * (limits.EMBED_TEXTS + 1))) == ["texts"]
    assert fields(refused(embed, host, "a", "x" * (limits.EMBED_TEXT_CHARACTERS + 1))) == ["texts[1]"]
    assert fields(refused(host.model.Embed, pb.EmbedRequest(texts=["x"]))) == ["kind"]
    assert reason(refused(embed, host, "x")) == "NO_SERVING_MODEL"


def test_r7_embed_beyond_the_queue_says_when_to_retry(host: InProcessServer) -> None:
    """R7: RESOURCE_EXHAUSTED with RetryInfo reaches the caller through ModelService."""
    begun, go = threading.Event(), threading.Event()

    def slow(kind: str, texts: Any) -> list[list[float]]:
        begun.set()
        assert go.wait(PATIENCE)
        return [[1.0] for _ in texts]

    host.load_embedder = lambda name: slow
    host.embedding._waiting_texts = 2
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(embed, host, "a", "b", model_version_id="m")
        assert begun.wait(PATIENCE)
        error = refused(embed, host, "c", model_version_id="m")
        go.set()
        assert len(first.result(PATIENCE).embeddings) == 2
    assert (error.code(), reason(error)) == (StatusCode.RESOURCE_EXHAUSTED, "EMBED_QUEUE_FULL")
    assert detail(error, error_details_pb2.RetryInfo).retry_delay.seconds == 1


def test_a_switch_under_load_drops_no_call(mongo_server: InProcessServer) -> None:
    """While versions are promoted, every Embed answers, with the vectors of the version that it names."""
    server = mongo_server
    made = {"model-run-1": 1.0, "model-run-2": 2.0}
    server.load_embedder = lambda name: lambda kind, texts: [[made[name]] for _ in texts]
    for number in (1, 2):
        finish(server, f"run-{number}", number)
    promote(server, "model-run-1", "p-0")
    stop = threading.Event()

    def load() -> int:
        calls = 0
        while not stop.is_set():
            answer = embed(server, "x", "y")
            assert [list(each.values) for each in answer.embeddings] == [[made[answer.model_version_id]]] * 2
            calls += 1
        return calls

    with ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load) for _ in range(4)]
        for number in range(20):
            model = f"model-run-{number % 2 + 1}"
            promote(server, model, f"p-{number + 1}")
            assert embed(server, "x").model_version_id == model
        stop.set()
        assert min(each.result(PATIENCE) for each in loads) > 0
