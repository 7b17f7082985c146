"""Client of the batch, improvement, training and model services."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
from embedding_studio.clickstream.v1 import batch_service_pb2 as batch
from embedding_studio.clickstream.v1 import fine_tuning_settings_pb2 as settings_pb
from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb
from embedding_studio.clickstream.v1 import model_service_pb2 as model
from embedding_studio.clickstream.v1 import model_version_pb2 as versions_pb
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from embedding_studio.clickstream.v1 import training_service_pb2 as training

from clickstream.client.calls import (
    batch_stub,
    call,
    improvement_stub,
    is_passing,
    model_stub,
    pause_before_retry,
    training_stub,
)
from clickstream.contract.evaluations import judged_query_messages
from clickstream.domain.judgements import JudgedQuery

PATIENCE_SECONDS = 600.0
"""For so long a broken watch is taken up again without any news: servers restart, and machines are moved."""


def start_training(
    stub: Any,
    run_id: str,
    batches: Sequence[str],
    settings: settings_pb.FineTuningSettings,
    judged: Sequence[JudgedQuery] = (),
) -> bool:
    """Queues a run; returns whether it is new, and not the same run again.

    Raises:
        grpc.RpcError: The server stayed away, or refused.
    """
    request = training.StartTrainingRequest(
        run_id=run_id,
        batch_ids=batches,
        settings=settings,
        judged_queries=judged_query_messages(judged),
    )
    return bool(call(stub.StartTraining, request).created)


def watch_training(stub: Any, run_id: str) -> Iterator[runs_pb.TrainingRun]:
    """Yields the run after every change until it has ended; a broken stream is taken up again.

    Raises:
        grpc.RpcError: The server stayed away for `PATIENCE_SECONDS`, or refused.
    """
    broken, heard_at = 0, time.monotonic()
    while True:
        try:
            for response in stub.WatchTrainingRun(training.WatchTrainingRunRequest(run_id=run_id)):
                broken, heard_at = 0, time.monotonic()
                yield response.run
            return
        except grpc.RpcError as error:
            broken += 1
            if time.monotonic() - heard_at > PATIENCE_SECONDS or not is_passing(error):
                raise
            time.sleep(pause_before_retry(broken, error))


def retry_improvement_task(channel: grpc.Channel, session_id: str) -> bool:
    """Puts a session forward again; false if its task stayed as it was. Raises grpc.RpcError."""
    request = improvement_pb.RetryImprovementTaskRequest(session_id=session_id)
    return bool(call(improvement_stub(channel).RetryImprovementTask, request).retried)


PAGE = 100
"""Rows asked for at once, at most."""


def improvement_tasks(
    channel: grpc.Channel, states: Sequence[str], run_id: str
) -> Iterator[improvement_pb.ImprovementTask]:
    """Tasks in queueing order; no state and no run means any. Raises grpc.RpcError."""
    names = [f"IMPROVEMENT_STATE_{state.upper()}" for state in states]
    request = improvement_pb.ListImprovementTasksRequest(states=names, run_id=run_id)
    return _listed(improvement_stub(channel).ListImprovementTasks, request, "tasks")


def improvement_summary(channel: grpc.Channel) -> improvement_pb.ImprovementSummary:
    """What the whole queue holds, and why its sessions wait. Raises grpc.RpcError."""
    request = improvement_pb.ListImprovementTasksRequest(page_size=1, include_summary=True)
    summary: improvement_pb.ImprovementSummary = call(improvement_stub(channel).ListImprovementTasks, request).summary
    return summary


def batches(channel: grpc.Channel, statuses: Sequence[str]) -> Iterator[batch.Batch]:
    """Batches, the newest first; no status means any. Raises grpc.RpcError."""
    names = [f"BATCH_STATUS_{status.upper()}" for status in statuses]
    return _listed(batch_stub(channel).ListBatches, batch.ListBatchesRequest(statuses=names), "batches")


def training_runs(channel: grpc.Channel, states: Sequence[str]) -> Iterator[runs_pb.TrainingRun]:
    """Runs, the newest first; no state means any. Raises grpc.RpcError."""
    names = [f"TRAINING_RUN_STATE_{state.upper()}" for state in states]
    request = training.ListTrainingRunsRequest(states=names)
    return _listed(training_stub(channel).ListTrainingRuns, request, "runs")


def model_versions(channel: grpc.Channel, gate_passed_only: bool) -> Iterator[versions_pb.ModelVersion]:
    """Model versions, the newest first. Raises grpc.RpcError."""
    request = model.ListModelVersionsRequest(gate_passed_only=gate_passed_only)
    return _listed(model_stub(channel).ListModelVersions, request, "model_versions")


def serving_version_id(channel: grpc.Channel) -> str:
    """The id of the promoted model version; empty if none is. Raises grpc.RpcError."""
    request = model.ListModelVersionsRequest(page_size=1)
    return str(call(model_stub(channel).ListModelVersions, request).serving_model_version_id)


def _listed(method: Any, request: Any, field: str) -> Iterator[Any]:
    request.page_size = PAGE
    while True:
        response = call(method, request)
        yield from getattr(response, field)
        if not response.next_page_token:
            return
        request.page_token = response.next_page_token
