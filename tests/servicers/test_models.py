"""ModelService through a real channel: versions, promotion, files, vectors and lineage."""

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from embedding_studio.clickstream.v1 import model_service_pb2 as pb
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from google.rpc import error_details_pb2
from grpc import StatusCode
from support.builders import NOW, SECOND, model_version, push, session_drafts, training_run
from support.memory_store import MemoryDao
from support.servers import PATIENCE, Clock, InProcessServer, detail, fields, reason, refused

from clickstream.domain import limits
from clickstream.domain.errors import NotFound, Reason
from clickstream.domain.runs import RunState
from clickstream.domain.training_inputs import ConversionSummary
from clickstream.models.embedding_queue import Embedder
from clickstream.models.folders import VERSION_FILE

QUERY = pb.TEXT_KIND_QUERY


def lengths(model_version_id: str) -> Embedder:
    """Embeds a text as its length."""
    return lambda kind, texts: [[float(len(text))] for text in texts]


@pytest.fixture(params=["server", "mongo_server"])
def any_server(request: pytest.FixtureRequest) -> InProcessServer:
    """A server over either store, whose machine of the models can load any version."""
    server: InProcessServer = request.getfixturevalue(request.param)
    server.load_embedder = lengths
    return server


@pytest.fixture
def host(memory_dao: MemoryDao, clock: Clock, tmp_path: Path) -> Iterator[InProcessServer]:
    """A server whose models lie in `tmp_path` and embed a text as its length."""
    server = InProcessServer(memory_dao, clock)
    server.models = tmp_path
    server.load_embedder = lengths
    with server:
        yield server


def finish(server: InProcessServer, run_id: str, seconds: int = 0, **changes: Any) -> str:
    """A run over the first batch that succeeded; the id of its version."""
    dao = server.dao
    dao.runs.create(training_run(run_id, at=NOW + seconds * SECOND))
    assert dao.runs.claim("me", NOW + 90 * SECOND, NOW + 99 * SECOND).run_id == run_id
    dao.runs.set_conversion(run_id, "me", ConversionSummary("test-1"))
    version = replace(model_version(run_id), created_at=NOW + seconds * SECOND, **changes)
    assert dao.runs.finish(run_id, "me", RunState.SUCCEEDED, "well", version, NOW)
    return version.model_version_id


def promote(server: InProcessServer, model_version_id: str, request_id: str, **values: Any) -> pb.PromoteModelResponse:
    """Promotes a version."""
    asked = pb.PromoteModelRequest(model_version_id=model_version_id, request_id=request_id, **values)
    return server.model.PromoteModel(asked)


def embed(server: InProcessServer, *texts: str, **values: Any) -> pb.EmbedResponse:
    """Embeds queries."""
    return server.model.Embed(pb.EmbedRequest(texts=texts, kind=QUERY, **values), timeout=PATIENCE)


def test_versions_are_shown_and_listed(any_server: InProcessServer) -> None:
    """Versions come newest first in pages, with the serving one named; an unknown one is NOT_FOUND."""
    for number in range(3):
        finish(any_server, f"run-{number}", number, gate_passed=number != 1)
    promote(any_server, "model-run-0", "p-1")
    token, seen = "", []
    for _ in range(3):
        page = any_server.model.ListModelVersions(pb.ListModelVersionsRequest(page_size=1, page_token=token))
        token = page.next_page_token
        seen += [(version.run_id, version.serving) for version in page.model_versions]
        assert page.serving_model_version_id == "model-run-0"
    assert seen == [("run-2", False), ("run-1", False), ("run-0", True)]
    improved = any_server.model.ListModelVersions(pb.ListModelVersionsRequest(gate_passed_only=True))
    assert [version.run_id for version in improved.model_versions] == ["run-2", "run-0"]
    error = refused(
        any_server.model.ListModelVersions, pb.ListModelVersionsRequest(page_token=token, gate_passed_only=True)
    )
    assert fields(error) == ["page_token"]
    current = any_server.model.GetModelVersion(pb.GetModelVersionRequest())
    assert (current.model_version.run_id, current.model_version.serving) == ("run-0", True)
    other = any_server.model.GetModelVersion(pb.GetModelVersionRequest(model_version_id="model-run-1")).model_version
    assert other.HasField("serving")
    assert not other.serving
    error = refused(any_server.model.GetModelVersion, pb.GetModelVersionRequest(model_version_id="x"))
    assert (error.code(), reason(error)) == (StatusCode.NOT_FOUND, "MODEL_VERSION_NOT_FOUND")


def test_r17_a_version_that_did_not_improve_is_promoted_by_force_only(any_server: InProcessServer) -> None:
    """R17: a version whose gate did not pass is promoted only by force with a reason, and the log shows that."""
    model = finish(any_server, "run-1", gate_passed=False)
    error = refused(promote, any_server, model, "p-1")
    assert (error.code(), reason(error)) == (StatusCode.FAILED_PRECONDITION, "GATE_NOT_PASSED")
    assert fields(refused(promote, any_server, model, "p-1", force=True)) == ["reason"]
    promotion = promote(any_server, model, "p-1", force=True, reason="a person looked").promotion
    assert (promotion.forced, promotion.reason, promotion.sequence) == (True, "a person looked", 1)
    assert list(any_server.model.ListPromotions(pb.ListPromotionsRequest()).promotions) == [promotion]


def test_r1_promotion_and_rollback_can_be_retried(any_server: InProcessServer) -> None:
    """R1: a retry answers the same promotion; a request id that was used otherwise is refused."""
    for number in (1, 2):
        finish(any_server, f"run-{number}", number)
    assert refused(any_server.model.RollbackModel, pb.RollbackModelRequest(request_id="r")).code() is (
        StatusCode.FAILED_PRECONDITION
    )
    first = promote(any_server, "model-run-1", "p-1", expected_model_version_id="")
    promote(any_server, "model-run-2", "p-2")
    error = refused(promote, any_server, "model-run-1", "p-3", expected_model_version_id="model-run-1")
    assert reason(error) == "STATE_CONFLICT"
    back = any_server.model.RollbackModel(pb.RollbackModelRequest(request_id="r-1"))
    assert (back.promotion.model_version_id, back.promotion.rollback, back.created) == ("model-run-1", True, True)
    again = any_server.model.RollbackModel(pb.RollbackModelRequest(request_id="r-1"))
    assert (again.promotion, again.created) == (back.promotion, False)
    assert promote(any_server, "model-run-1", "p-1").promotion == first.promotion
    assert refused(promote, any_server, "model-run-2", "p-1").code() is StatusCode.ALREADY_EXISTS


def test_r1_a_promotion_can_require_that_no_version_serves(any_server: InProcessServer) -> None:
    """R1: an empty `expected_model_version_id` is a condition: if a version serves, nothing is changed."""
    for number in (1, 2):
        finish(any_server, f"run-{number}", number)
        promote(any_server, f"model-run-{number}", f"p-{number}")
    roll_back = pb.RollbackModelRequest(request_id="r-1", expected_model_version_id="")
    for error in (
        refused(promote, any_server, "model-run-1", "p-3", expected_model_version_id=""),
        refused(any_server.model.RollbackModel, roll_back),
    ):
        assert (error.code(), reason(error)) == (StatusCode.FAILED_PRECONDITION, "STATE_CONFLICT")
    current = any_server.model.GetModelVersion(pb.GetModelVersionRequest()).model_version
    assert current.model_version_id == "model-run-2"


def test_a_version_that_cannot_be_loaded_is_not_promoted(any_server: InProcessServer) -> None:
    """A version without files is not promoted, not even by force; a retry of a promotion needs no files."""
    for number in (1, 2):
        finish(any_server, f"run-{number}", number)
    promote(any_server, "model-run-1", "p-1")

    def gone(model_version_id: str) -> Embedder:
        raise NotFound(Reason.MODEL_VERSION_NOT_FOUND, f"no {model_version_id} here")

    any_server.load_embedder = gone
    for values in ({}, {"force": True, "reason": "never mind"}):
        error = refused(promote, any_server, "model-run-2", "p-2", **values)
        assert (error.code(), reason(error)) == (StatusCode.FAILED_PRECONDITION, "STATE_CONFLICT")
    assert embed(any_server, "abc").model_version_id == "model-run-1"
    assert not promote(any_server, "model-run-1", "p-1").created


def test_a_rollback_needs_a_version_that_can_be_loaded(any_server: InProcessServer) -> None:
    """RollbackModel does not go back to a version whose files are gone."""
    for number in (1, 2):
        promote(any_server, finish(any_server, f"run-{number}", number), f"p-{number}")

    def gone(model_version_id: str) -> Embedder:
        raise NotFound(Reason.MODEL_VERSION_NOT_FOUND, f"no {model_version_id} here")

    any_server.load_embedder = gone
    any_server.embedding._embedders.pop("model-run-1")
    error = refused(any_server.model.RollbackModel, pb.RollbackModelRequest(request_id="r-1"))
    assert (error.code(), reason(error)) == (StatusCode.FAILED_PRECONDITION, "STATE_CONFLICT")
    assert embed(any_server, "abc").model_version_id == "model-run-2"
    any_server.load_embedder = lengths
    assert any_server.model.RollbackModel(pb.RollbackModelRequest(request_id="r-1")).created


def test_an_absent_trainer_is_not_reported_as_the_store(any_server: InProcessServer) -> None:
    """Calls that need an absent trainer say so and can be repeated; nothing is changed."""
    for number in (1, 2):
        promote(any_server, finish(any_server, f"run-{number}", number), f"p-{number}")

    async def away() -> None:
        await any_server.host.close()
        any_server.host.connect("127.0.0.1:1")

    any_server.run(away())
    calls = [
        lambda: promote(any_server, "model-run-1", "p-3"),
        lambda: any_server.model.RollbackModel(pb.RollbackModelRequest(request_id="r-1")),
        lambda: embed(any_server, "abc"),
        lambda: any_server.model.DownloadModel(pb.DownloadModelRequest()),
    ]
    for call in calls:
        error = refused(call)
        assert (error.code(), reason(error)) == (StatusCode.UNAVAILABLE, "TRAINER_UNAVAILABLE")
        assert detail(error, error_details_pb2.RetryInfo).HasField("retry_delay")
    current = any_server.model.GetModelVersion(pb.GetModelVersionRequest())
    assert current.model_version.model_version_id == "model-run-2"


def test_r1_another_reason_is_another_promotion(any_server: InProcessServer) -> None:
    """R1: the same request id with another reason is refused; a reason of blanks counts as empty."""
    model = finish(any_server, "run-1")
    promote(any_server, model, "p-1", reason="it is Monday")
    error = refused(promote, any_server, model, "p-1", reason="it is Tuesday")
    assert error.code() is StatusCode.ALREADY_EXISTS
    assert fields(refused(promote, any_server, model, "p-2", force=True, reason=" ")) == ["reason"]


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


def test_r12_a_version_leads_back_to_its_inputs_and_events(any_server: InProcessServer) -> None:
    """R12: from any point on, a version leads to its batches, sessions and the events behind the grades."""
    dao = any_server.dao
    for batch in (1, 2):
        dao.sessions.append(session_drafts(3, f"b{batch}"))
        dao.events.append([push(f"b{batch}-1", "e-1", "e-2"), push(f"b{batch}-3", "e-3")])
        dao.batches.release(f"r-{batch}", None, NOW)
    model = finish(any_server, "run-1", batch_ids=("batch-1", "batch-2"))
    stream = any_server.model.StreamModelLineage
    first, *inputs = stream(pb.StreamModelLineageRequest(model_version_id=model))
    assert (first.origin.model_version.run_id, first.origin.policy_version) == ("run-1", "test-1")
    found = [(each.input.batch_id, each.input.session_number, each.input.session_id) for each in inputs]
    assert found == [(f"batch-{batch}", number, f"b{batch}-{number}") for batch in (1, 2) for number in (1, 3)]
    assert [list(each.input.event_ids) for each in inputs[:2]] == [["e-1", "e-2"], ["e-3"]]
    asked = pb.StreamModelLineageRequest(model_version_id=model, batch_id="batch-1", after_number=1)
    assert list(stream(asked))[1:] == inputs[1:]
    asked = pb.StreamModelLineageRequest(model_version_id=model, batch_id="batch-9")
    assert fields(refused(stream, asked)) == ["batch_id"]


def test_r14_a_session_leads_forward_to_its_versions(any_server: InProcessServer) -> None:
    """R14: a session leads to its input, runs and versions; reading before any training freezes no event."""
    dao = any_server.dao
    dao.sessions.append(session_drafts(2))
    dao.events.append([push("s-1", "e-1")])
    dao.batches.release("r-1", None, NOW)
    asked = pb.GetSessionLineageRequest(session_id="s-1", page_size=1)
    before = any_server.model.GetSessionLineage(asked)
    assert (before.batch_id, before.session_number, before.HasField("input"), len(before.runs)) == (
        "batch-1",
        1,
        False,
        0,
    )
    dao.events.append([push("s-1", "e-2")])
    finish(any_server, "run-1")
    dao.runs.create(training_run("run-2", at=NOW + SECOND))
    page = any_server.model.GetSessionLineage(asked)
    assert [(run.run_id, run.state, run.model_version_id) for run in page.runs] == [
        ("run-2", runs_pb.TRAINING_RUN_STATE_QUEUED, "")
    ]
    asked.page_token = page.next_page_token
    page = any_server.model.GetSessionLineage(asked)
    assert [(run.run_id, run.model_version_id) for run in page.runs] == [("run-1", "model-run-1")]
    assert list(page.input.event_ids) == ["e-1", "e-2"]
    skipped = any_server.model.GetSessionLineage(pb.GetSessionLineageRequest(session_id="s-2"))
    assert (skipped.session_number, skipped.HasField("input"), len(skipped.runs)) == (2, False, 2)
    error = refused(any_server.model.GetSessionLineage, pb.GetSessionLineageRequest(session_id="x"))
    assert reason(error) == "SESSION_NOT_FOUND"
