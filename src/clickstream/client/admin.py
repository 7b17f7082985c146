"""The client of schedulers and engineers: batches, the improvement queue, training runs and model versions."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
from embedding_studio.clickstream.v1 import batch_service_pb2 as batch_pb
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as sessions_pb
from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb
from embedding_studio.clickstream.v1 import model_service_pb2 as model_pb
from embedding_studio.clickstream.v1 import training_service_pb2 as training_pb
from embedding_studio.clickstream.v1.fine_tuning_settings_pb2 import FineTuningSettings
from embedding_studio.clickstream.v1.model_version_pb2 import ModelVersion
from embedding_studio.clickstream.v1.session_pb2 import StoredSession
from embedding_studio.clickstream.v1.training_run_pb2 import TrainingRun

from clickstream.client.calls import call, clickstream_stub
from clickstream.client.stored_reads import StoredReads, listed
from clickstream.client.streams import StreamRetry
from clickstream.contract.evaluations import judged_query_messages
from clickstream.domain.judgements import JudgedQuery

# Seconds for a call that may have to load a model first; the very first one also waits for torch.
_MODEL_SECONDS = 120.0


class AdminClient(StoredReads):
    """Blocking calls on a running service, for schedulers and engineers.

    Threads may share a client. Every method retries what a retry can help, for about ten seconds, and then raises
    grpc.RpcError; `clickstream.client.calls` reads its reason and its fields. All writes may be repeated for ever.
    The channel stays the caller's, who closes it:

        with grpc.insecure_channel("localhost:50051") as channel:
            batch = AdminClient(channel).release_batch("night-2026-05-04")
    """

    def __init__(self, channel: grpc.Channel) -> None:
        super().__init__(channel)
        self._sessions = clickstream_stub(channel)

    # Sessions

    def mark_irrelevant(self, session_id: str) -> StoredSession:
        """Excludes a session from batch reads and from training. Idempotent.

        Returns:
            The session as kept now, without its events.
        """
        request = sessions_pb.MarkSessionIrrelevantRequest(session_id=session_id)
        session: StoredSession = call(self._sessions.MarkSessionIrrelevant, request).stored_session
        return session

    def restore(self, session_id: str) -> StoredSession:
        """Takes the mark of `mark_irrelevant` back. Idempotent. Returns the session without its events."""
        request = sessions_pb.RestoreSessionRequest(session_id=session_id)
        session: StoredSession = call(self._sessions.RestoreSession, request).stored_session
        return session

    # Batches

    def release_batch(self, release_id: str, batch_id: str = "") -> batch_pb.Batch:
        """Closes a batch, whose members then never change. Idempotent by `release_id`.

        Args:
            release_id: Made by the caller, 1 to 256 characters. The same id again answers the same batch.
            batch_id: The batch to release; empty: the one that collects.
        """
        request = batch_pb.ReleaseBatchRequest(release_id=release_id, batch_id=batch_id)
        batch: batch_pb.Batch = call(self._batches.ReleaseBatch, request).batch
        return batch

    def batch(self, batch_id: str = "") -> batch_pb.Batch:
        """A batch without its sessions; an empty id means the one that collects."""
        batch: batch_pb.Batch = call(self._batches.GetBatch, batch_pb.GetBatchRequest(batch_id=batch_id)).batch
        return batch

    def batches(self, statuses: Sequence[str] = ()) -> Iterator[batch_pb.Batch]:
        """Batches, the newest first, read page by page.

        Args:
            statuses: Only batches in one of these statuses, `released` for example; none means any.
        """
        names = [f"BATCH_STATUS_{status.upper()}" for status in statuses]
        return listed(self._batches.ListBatches, batch_pb.ListBatchesRequest(statuses=names), "batches")

    def use_for_improvement(self, session_id: str) -> improvement_pb.UseSessionForImprovementResponse:
        """Puts a session into the improvement queue. Idempotent; `created` says whether it was new there."""
        request = improvement_pb.UseSessionForImprovementRequest(session_id=session_id)
        answer: improvement_pb.UseSessionForImprovementResponse = call(
            self._improvement.UseSessionForImprovement, request
        )
        return answer

    def retry_improvement(self, session_id: str) -> improvement_pb.RetryImprovementTaskResponse:
        """Makes a task pending again that has failed, was refused or canceled.

        Idempotent: a task in another state stays as it is, and then `retried` is false.
        """
        request = improvement_pb.RetryImprovementTaskRequest(session_id=session_id)
        answer: improvement_pb.RetryImprovementTaskResponse = call(self._improvement.RetryImprovementTask, request)
        return answer

    def cancel_improvement(self, session_id: str) -> improvement_pb.CancelImprovementTaskResponse:
        """Cancels the pending task of a session. Idempotent."""
        request = improvement_pb.CancelImprovementTaskRequest(session_id=session_id)
        answer: improvement_pb.CancelImprovementTaskResponse = call(self._improvement.CancelImprovementTask, request)
        return answer

    def improvement_tasks(
        self, states: Sequence[str] = (), run_id: str = ""
    ) -> Iterator[improvement_pb.ImprovementTask]:
        """Tasks in the order in which they were queued, read page by page.

        Args:
            states: Only tasks in one of these states, `failed` for example; none means any.
            run_id: Only tasks that belong to this run, or belonged to it last; empty means any.
        """
        names = [f"IMPROVEMENT_STATE_{state.upper()}" for state in states]
        request = improvement_pb.ListImprovementTasksRequest(states=names, run_id=run_id)
        return listed(self._improvement.ListImprovementTasks, request, "tasks")

    def improvement_summary(self) -> improvement_pb.ImprovementSummary:
        """What the whole queue contains, and why its pending sessions wait."""
        request = improvement_pb.ListImprovementTasksRequest(page_size=1, include_summary=True)
        summary: improvement_pb.ImprovementSummary = call(self._improvement.ListImprovementTasks, request).summary
        return summary

    # Training runs

    def start_training(
        self,
        run_id: str,
        batch_ids: Sequence[str],
        settings: FineTuningSettings | None = None,
        judged: Sequence[JudgedQuery] = (),
        robot_verdict_number: int | None = None,
    ) -> training_pb.StartTrainingResponse:
        """Queues a run over released batches. Idempotent by `run_id`; `created` says whether the run is new.

        Args:
            run_id: Made by the caller: 1 to 128 letters, digits, `_`, `-` or `.`, the first one no `.`.
            batch_ids: 1 to 100 released batches.
            settings: How to train; what is absent takes its default. None: every default.
            judged: Queries with judgements of people, which measure the model as well and never train it.
            robot_verdict_number: The newest robot verdict that applies to the inputs; 0: none. None: all so far.
        """
        request = training_pb.StartTrainingRequest(
            run_id=run_id,
            batch_ids=batch_ids,
            settings=settings,
            judged_queries=judged_query_messages(judged),
            robot_verdict_number=robot_verdict_number,
        )
        answer: training_pb.StartTrainingResponse = call(self._training.StartTraining, request)
        return answer

    def training_run(self, run_id: str) -> TrainingRun:
        """A run as it is now."""
        run: TrainingRun = call(self._training.GetTrainingRun, training_pb.GetTrainingRunRequest(run_id=run_id)).run
        return run

    def training_runs(self, states: Sequence[str] = ()) -> Iterator[TrainingRun]:
        """Runs, the newest first, read page by page.

        Args:
            states: Only runs in one of these states, `running` for example; none means any.
        """
        names = [f"TRAINING_RUN_STATE_{state.upper()}" for state in states]
        request = training_pb.ListTrainingRunsRequest(states=names)
        return listed(self._training.ListTrainingRuns, request, "runs")

    def watch_training(self, run_id: str) -> Iterator[TrainingRun]:
        """Yields a run now and after its changes, until it has ended. A stream that breaks is opened again.

        Raises:
            grpc.RpcError: The service refused, or sent nothing for ten minutes.
        """
        request = training_pb.WatchTrainingRunRequest(run_id=run_id)
        retry = StreamRetry()
        while True:
            try:
                for response in self._training.WatchTrainingRun(request):
                    retry.received()
                    yield response.run
                return
            except grpc.RpcError as error:
                retry.wait_after(error)

    def cancel_training(self, run_id: str) -> training_pb.CancelTrainingRunResponse:
        """Asks a run to stop: a running one stops within one training step, a queued one at once. Idempotent."""
        answer: training_pb.CancelTrainingRunResponse = call(
            self._training.CancelTrainingRun, training_pb.CancelTrainingRunRequest(run_id=run_id)
        )
        return answer

    # Model versions

    def model_version(self, model_version_id: str = "") -> ModelVersion:
        """A model version; its `serving` says whether it serves now. An empty id means the serving one."""
        request = model_pb.GetModelVersionRequest(model_version_id=model_version_id)
        version: ModelVersion = call(self._models.GetModelVersion, request).model_version
        return version

    def model_versions(self, gate_passed_only: bool = False) -> Iterator[ModelVersion]:
        """Model versions, the newest first, read page by page; at most one of them says that it serves."""
        request = model_pb.ListModelVersionsRequest(gate_passed_only=gate_passed_only)
        return listed(self._models.ListModelVersions, request, "model_versions")

    def serving_version_id(self) -> str:
        """The id of the version that serves now; empty if none does."""
        request = model_pb.ListModelVersionsRequest(page_size=1)
        return str(call(self._models.ListModelVersions, request).serving_model_version_id)

    def promote(
        self,
        model_version_id: str,
        request_id: str,
        *,
        expected: str | None = None,
        force: bool = False,
        reason: str = "",
    ) -> model_pb.PromoteModelResponse:
        """Makes a version the serving one, after the trainer has loaded it. Idempotent by `request_id`.

        Args:
            model_version_id: The version that shall serve.
            request_id: Made by the caller, 1 to 256 characters. The same id again answers the same promotion.
            expected: The version that must serve now, otherwise the call is refused; the empty string means that
                none may serve. None: whatever serves.
            force: Overrules a gate that did not pass; needs a `reason`.
            reason: Kept in the log of promotions, at most 1,024 characters.
        """
        request = model_pb.PromoteModelRequest(
            model_version_id=model_version_id,
            request_id=request_id,
            expected_model_version_id=expected,
            force=force,
            reason=reason,
        )
        answer: model_pb.PromoteModelResponse = call(self._models.PromoteModel, request, timeout=_MODEL_SECONDS)
        return answer

    def rollback(
        self, request_id: str, *, expected: str | None = None, reason: str = ""
    ) -> model_pb.RollbackModelResponse:
        """Goes back to the version that served before. Idempotent by `request_id`; for the rest see `promote`."""
        request = model_pb.RollbackModelRequest(
            request_id=request_id, expected_model_version_id=expected, reason=reason
        )
        answer: model_pb.RollbackModelResponse = call(self._models.RollbackModel, request, timeout=_MODEL_SECONDS)
        return answer

    def model_files(self, model_version_id: str) -> model_pb.ModelFiles:
        """The list of a version's files, with their sizes in bytes and their SHA-256."""

        def first_message(request: model_pb.DownloadModelRequest, /, *, timeout: float | None = None) -> Any:
            stream = self._models.DownloadModel(request, timeout=timeout)
            try:
                return next(stream)
            finally:
                stream.cancel()

        request = model_pb.DownloadModelRequest(model_version_id=model_version_id)
        files: model_pb.ModelFiles = call(first_message, request, timeout=_MODEL_SECONDS).files
        return files

    def download(self, model_version_id: str, file_name: str = "", offset: int = 0) -> Iterator[model_pb.ModelChunk]:
        """Yields the bytes of a version's files, in the order of `model_files`. A stream that breaks is opened again.

        Empty files have no chunk.

        Args:
            model_version_id: The version. Name it: another one may serve by the time a stream is opened again.
            file_name: The file to begin with; empty: the first.
            offset: The number of bytes of that file to leave out.

        Raises:
            grpc.RpcError: The service refused, or sent nothing for ten minutes.
        """
        request = model_pb.DownloadModelRequest(model_version_id=model_version_id, file_name=file_name, offset=offset)
        retry = StreamRetry()
        while True:
            try:
                for response in itertools.islice(self._models.DownloadModel(request), 1, None):
                    retry.received()
                    yield response.chunk
                    request.file_name = response.chunk.file_name
                    request.offset = response.chunk.offset + len(response.chunk.data)
                return
            except grpc.RpcError as error:
                retry.wait_after(error)

    def embed(self, texts: Sequence[str], kind: str, model_version_id: str = "") -> model_pb.EmbedResponse:
        """One vector of length 1 per text, in their order.

        Args:
            texts: 1 to 256 texts of at most 8,192 characters.
            kind: `query` or `item`: models may put other words before one than before the other.
            model_version_id: The version that makes them; empty: the serving one.
        """
        request = model_pb.EmbedRequest(
            texts=texts, kind=f"TEXT_KIND_{kind.upper()}", model_version_id=model_version_id
        )
        answer: model_pb.EmbedResponse = call(self._models.Embed, request, timeout=_MODEL_SECONDS)
        return answer
