"""The metadata of every error is what `error_reason.proto` states."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import grpc
import pytest
from embedding_studio.clickstream.v1 import batch_service_pb2 as batch_pb
from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb
from embedding_studio.clickstream.v1 import model_service_pb2 as model_pb
from embedding_studio.clickstream.v1 import training_service_pb2 as training_pb
from google.rpc.error_details_pb2 import ErrorInfo
from support.builders import NOW, model_version, session_drafts, training_run
from support.servers import InProcessServer, detail, refused

from clickstream.domain.batches import BatchStatus
from clickstream.domain.errors import NotFound, Reason
from clickstream.domain.improvement import ImprovementState, TaskOutcome
from clickstream.domain.promotions import PromotionOrder
from clickstream.domain.runs import RunState
from clickstream.models.embedding_queue import Embedder

Call = Callable[[InProcessServer], grpc.RpcError]


@pytest.fixture
def used(server: InProcessServer) -> InProcessServer:
    """A server with batches in several states, a run and a task that are done, and a version that serves."""
    dao = server.dao
    for number in (1, 2, 3):
        dao.sessions.append(session_drafts(1, f"b{number}"))
        if number < 3:
            dao.batches.release(f"r-{number}", None, NOW)
    released = frozenset({BatchStatus.RELEASED})
    dao.batches.change_status(1, released, BatchStatus.ARCHIVED, run_id="", reason="", at=NOW)
    for run_id, passed in (("good", True), ("bad", False)):
        dao.runs.create(training_run(run_id, batches=(2,)))
        dao.runs.claim("me", NOW, NOW)
        version = replace(model_version(run_id), gate_passed=passed)
        dao.runs.finish(run_id, "me", RunState.SUCCEEDED, "", version, NOW)
    dao.improvement.queue(dao.sessions.get("b2-1"), NOW)
    dao.improvement.take(["b2-1"], "good", NOW, NOW)
    dao.improvement.settle("good", ["b2-1"], TaskOutcome(ImprovementState.DONE, ""), NOW)
    dao.promotions.append(PromotionOrder("p-1", "model-good"), NOW)
    return server


def start(*batch_ids: str) -> Call:
    """Starts a training."""
    asked = training_pb.StartTrainingRequest(run_id="next", batch_ids=batch_ids)
    return lambda server: refused(server.training.StartTraining, asked)


def release(batch_id: str) -> Call:
    """Releases a batch."""
    asked = batch_pb.ReleaseBatchRequest(release_id="new", batch_id=batch_id)
    return lambda server: refused(server.batch.ReleaseBatch, asked)


def promote(model_version_id: str, **values: Any) -> Call:
    """Promotes a version."""
    asked = model_pb.PromoteModelRequest(request_id="p-2", model_version_id=model_version_id, **values)
    return lambda server: refused(server.model.PromoteModel, asked)


def on(service: str, method: str, request: Any) -> Call:
    """Makes a call of a service by name."""
    return lambda server: refused(getattr(getattr(server, service), method), request)


OTHER = {"expected_model_version_id": "other"}


@pytest.mark.parametrize(
    ("call", "reason", "metadata"),
    [
        (start("batch-9"), Reason.BATCH_NOT_FOUND, {"batch_id": "batch-9"}),
        (start("nonsense"), Reason.BATCH_NOT_FOUND, {"batch_id": "nonsense"}),
        (start("x" * 200), Reason.BATCH_NOT_FOUND, {"batch_id": "x" * 160 + "…"}),
        (start("batch-3"), Reason.BATCH_NOT_RELEASED, {"batch_id": "batch-3"}),
        (start("batch-2", "batch-1"), Reason.STATE_CONFLICT, {"batch_id": "batch-1"}),
        (release("batch-9"), Reason.BATCH_NOT_FOUND, {"batch_id": "batch-9"}),
        (release("nonsense"), Reason.BATCH_NOT_FOUND, {"batch_id": "nonsense"}),
        (release("batch-2"), Reason.BATCH_ALREADY_RELEASED, {"batch_id": "batch-2"}),
        (
            on("batch", "GetBatch", batch_pb.GetBatchRequest(batch_id="batch-9")),
            Reason.BATCH_NOT_FOUND,
            {"batch_id": "batch-9"},
        ),
        (
            on("batch", "GetBatchSessions", batch_pb.GetBatchSessionsRequest(batch_id="batch-9")),
            Reason.BATCH_NOT_FOUND,
            {"batch_id": "batch-9"},
        ),
        (
            on("batch", "StreamBatchSessions", batch_pb.StreamBatchSessionsRequest(batch_id="batch-9")),
            Reason.BATCH_NOT_FOUND,
            {"batch_id": "batch-9"},
        ),
        (
            on("training", "StreamTrainingInputs", training_pb.StreamTrainingInputsRequest(batch_id="batch-3")),
            Reason.BATCH_NOT_RELEASED,
            {"batch_id": "batch-3"},
        ),
        (
            on("training", "CancelTrainingRun", training_pb.CancelTrainingRunRequest(run_id="good")),
            Reason.STATE_CONFLICT,
            {"state": "TRAINING_RUN_STATE_SUCCEEDED"},
        ),
        (
            on("improvement", "CancelImprovementTask", improvement_pb.CancelImprovementTaskRequest(session_id="b2-1")),
            Reason.STATE_CONFLICT,
            {"state": "IMPROVEMENT_STATE_DONE"},
        ),
        (promote("model-good", **OTHER), Reason.STATE_CONFLICT, {"serving_model_version_id": "model-good"}),
        (promote("model-bad"), Reason.GATE_NOT_PASSED, {"gate_reason": "nDCG@10 rose"}),
        (
            on("model", "RollbackModel", model_pb.RollbackModelRequest(request_id="p-3", **OTHER)),
            Reason.STATE_CONFLICT,
            {"serving_model_version_id": "model-good"},
        ),
        (
            on("model", "RollbackModel", model_pb.RollbackModelRequest(request_id="p-3")),
            Reason.NOTHING_TO_ROLL_BACK,
            {},
        ),
    ],
)
def test_an_error_names_what_it_is_about(
    used: InProcessServer, call: Call, reason: Reason, metadata: dict[str, str]
) -> None:
    """A refusal has the reason and the metadata that the contract states; values are cut at 160 bytes."""
    used.load_embedder = lambda model_version_id: lambda kind, texts: [[1.0] for _ in texts]
    info = detail(call(used), ErrorInfo)
    assert (info.reason, dict(info.metadata)) == (f"ERROR_REASON_{reason}", metadata)


def test_a_version_that_cannot_be_loaded_is_named(used: InProcessServer) -> None:
    """PromoteModel names the version whose files the trainer's machine does not have."""

    def gone(model_version_id: str) -> Embedder:
        raise NotFound(Reason.MODEL_VERSION_NOT_FOUND, "no files")

    used.load_embedder = gone
    info = detail(promote("model-good")(used), ErrorInfo)
    assert (info.reason, dict(info.metadata)) == (
        "ERROR_REASON_STATE_CONFLICT",
        {"model_version_id": "model-good"},
    )


def test_the_metadata_is_empty_while_no_version_serves(server: InProcessServer) -> None:
    """Before the first promotion, the version that serves instead of the expected one is the empty string."""
    error = refused(server.model.RollbackModel, model_pb.RollbackModelRequest(request_id="p-1", **OTHER))
    info = detail(error, ErrorInfo)
    assert (info.reason, dict(info.metadata)) == ("ERROR_REASON_STATE_CONFLICT", {"serving_model_version_id": ""})
