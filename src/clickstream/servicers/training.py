"""TrainingService: training inputs and training runs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime

from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from embedding_studio.clickstream.v1 import training_service_pb2 as pb
from embedding_studio.clickstream.v1.training_service_pb2_grpc import TrainingServiceServicer
from typing_extensions import override

from clickstream.contract.encoding import discard_unknown_fields
from clickstream.contract.runs import curve_point_message, run_message
from clickstream.contract.training_inputs import conversion_summary_message, training_input_message
from clickstream.conversion.reader import InputReader
from clickstream.dao.interface.batches import end_training
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain import limits
from clickstream.domain.batches import Batch, BatchStatus
from clickstream.domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    Reason,
)
from clickstream.domain.judgements import packed
from clickstream.domain.model_versions import is_version_id
from clickstream.domain.promotions import starting_model
from clickstream.domain.runs import ENDED, FineTuningSettings, RunState, TrainingRun
from clickstream.servicers.boundary import Context
from clickstream.servicers.checks import fields, page_tokens
from clickstream.servicers.checks.judgements import checked_judged_queries
from clickstream.servicers.checks.training_settings import checked_settings
from clickstream.servicers.lookups import existing_batch
from clickstream.servicers.run_watch import RunWatch
from clickstream.servicers.slow_reads import slow_read


class TrainingServicer(TrainingServiceServicer):
    """Queues runs and shows them. A worker trains them, in this process or another."""

    def __init__(
        self,
        dao: ClickstreamDao,
        inputs: InputReader,
        defaults: FineTuningSettings,
        clock: Callable[[], datetime],
        wake_worker: Callable[[], None],
    ) -> None:
        self._dao = dao
        self._inputs = inputs
        self._defaults = defaults
        self._clock = clock
        self._wake_worker = wake_worker
        self._watch = RunWatch(self._run)

    @override
    async def StreamTrainingInputs(
        self, request: pb.StreamTrainingInputsRequest, context: Context
    ) -> AsyncIterator[pb.StreamTrainingInputsResponse]:
        violations = fields.Violations()
        fields.check_id(request.batch_id, "batch_id", violations)
        fields.check_after_number(request.after_number, violations)
        fields.require(violations)
        batch = await asyncio.to_thread(self._released, request.batch_id)
        number = await asyncio.to_thread(self._robot_verdict_number, request)
        summary = self._inputs.new_summary(number)
        pages = self._inputs.pages(batch.sequence, batch.session_count, request.after_number, summary)
        while (page := await slow_read(next, pages, None)) is not None:
            for converted in page:
                message = training_input_message(converted)
                yield pb.StreamTrainingInputsResponse(input=message, robot_verdict_number=number)
        last = conversion_summary_message(summary)
        yield pb.StreamTrainingInputsResponse(summary=last, robot_verdict_number=number)

    def _robot_verdict_number(self, request: pb.StreamTrainingInputsRequest | pb.StartTrainingRequest) -> int:
        """The number of the newest robot verdict that applies. Raises InvalidArgument if there is no such number."""
        newest = self._dao.robots.newest()
        if not request.HasField("robot_verdict_number"):
            return newest
        if not 0 <= request.robot_verdict_number <= newest:
            description = f"must be from 0 to {newest}, the newest robot verdict"
            raise InvalidArgument([FieldViolation("robot_verdict_number", description)])
        return request.robot_verdict_number

    @override
    async def StartTraining(self, request: pb.StartTrainingRequest, context: Context) -> pb.StartTrainingResponse:
        fields.checked_run_id(request.run_id)
        _check_batch_ids(request)
        settings = checked_settings(request.settings, self._defaults)
        run, created = await asyncio.to_thread(self._queue, request, settings)
        self._wake_worker()
        return pb.StartTrainingResponse(run=run_message(run), created=created)

    def _queue(self, request: pb.StartTrainingRequest, settings: FineTuningSettings) -> tuple[TrainingRun, bool]:
        discard_unknown_fields(request)
        judged = checked_judged_queries(request.judged_queries)
        sha256, judgements = packed(judged) if judged else ("", b"")
        request.ClearField("judged_queries")
        run, created = self._dao.runs.get(request.run_id), False
        if run is None:
            batches = [self._released(batch_id) for batch_id in request.batch_ids]
            if archived := [batch.batch_id for batch in batches if batch.status is BatchStatus.ARCHIVED]:
                raise FailedPrecondition(Reason.STATE_CONFLICT, f"{archived[0]} is archived", {"batch_id": archived[0]})
            if sha256:
                self._dao.judgements.keep(sha256, judgements)
            settings = replace(settings, base_model=self._base_model(request.settings.base_model))
            queued = TrainingRun(
                run_id=request.run_id,
                batches=tuple(batch.sequence for batch in batches),
                settings=settings,
                request=request.SerializeToString(deterministic=True),
                state=RunState.QUEUED,
                queued_at=self._clock(),
                judgements_sha256=sha256,
                robot_verdict_number=self._robot_verdict_number(request),
            )
            run, created = self._dao.runs.create(queued)
        same = run.judgements_sha256 == sha256 and _request_of(run) == request
        if not created and not same:
            raise AlreadyExists(Reason.CONTENT_CONFLICT, "run_id: taken by a run with other content")
        return run, created

    def _base_model(self, named: str) -> str:
        """The model that a run starts from, given the name in its request.

        A version that does not exist is refused here; otherwise the trainer would look for it on a model hub. Only
        the trainer can check any other name. Raises NotFound.
        """
        name = starting_model(named, self._defaults.base_model, self._dao.promotions.current())
        if is_version_id(name) and self._dao.runs.model_version(name) is None:
            raise NotFound(Reason.MODEL_VERSION_NOT_FOUND, "settings.base_model: there is no such model version")
        return name

    def _released(self, batch_id: str) -> Batch:
        batch = existing_batch(self._dao.batches, batch_id)
        if batch.status is BatchStatus.COLLECTING:
            raise FailedPrecondition(
                Reason.BATCH_NOT_RELEASED, f"{batch_id} still collects; release it first", {"batch_id": batch_id}
            )
        return batch

    @override
    async def GetTrainingRun(self, request: pb.GetTrainingRunRequest, context: Context) -> pb.GetTrainingRunResponse:
        run = await asyncio.to_thread(self._run, fields.checked_id(request.run_id, "run_id"))
        return pb.GetTrainingRunResponse(run=run_message(run))

    def _run(self, run_id: str) -> TrainingRun:
        return _existing_run(self._dao.runs.get(run_id))

    @override
    async def ListTrainingRuns(
        self, request: pb.ListTrainingRunsRequest, context: Context
    ) -> pb.ListTrainingRunsResponse:
        page_size = fields.checked_page_size(request.page_size)
        kind, method = runs_pb.TrainingRunState, "ListTrainingRuns"
        states = page_tokens.enum_filter(request.states, kind, "TRAINING_RUN_STATE_", RunState, "states")
        before = page_tokens.decode_position(request.page_token, method, states)
        runs = await asyncio.to_thread(self._dao.runs.list, before, page_size, states)
        page, last = page_tokens.cut_page(runs, run_message, page_size)
        token = page_tokens.encode_position(method, last.queued_at, last.run_id, states) if last else ""
        return pb.ListTrainingRunsResponse(runs=page, next_page_token=token)

    @override
    async def WatchTrainingRun(
        self, request: pb.WatchTrainingRunRequest, context: Context
    ) -> AsyncIterator[pb.WatchTrainingRunResponse]:
        run_id = fields.checked_id(request.run_id, "run_id")
        async for response in self._watch.changes(run_id):
            yield response

    @override
    async def GetTrainingCurve(
        self, request: pb.GetTrainingCurveRequest, context: Context
    ) -> pb.GetTrainingCurveResponse:
        run = await asyncio.to_thread(self._run, fields.checked_id(request.run_id, "run_id"))
        points = await asyncio.to_thread(self._dao.runs.curve, run.run_id)
        return pb.GetTrainingCurveResponse(points=map(curve_point_message, points))

    @override
    async def CancelTrainingRun(
        self, request: pb.CancelTrainingRunRequest, context: Context
    ) -> pb.CancelTrainingRunResponse:
        run_id = fields.checked_id(request.run_id, "run_id")
        run = await asyncio.to_thread(self._cancel, run_id)
        if run.state in ENDED and run.state is not RunState.CANCELED:
            raise FailedPrecondition(
                Reason.STATE_CONFLICT,
                f"the run has already {run.state}",
                {"state": f"TRAINING_RUN_STATE_{run.state.name}"},
            )
        self._wake_worker()
        return pb.CancelTrainingRunResponse(run=run_message(run))

    def _cancel(self, run_id: str) -> TrainingRun:
        run = _existing_run(self._dao.runs.request_cancel(run_id, self._clock()))
        if run.state is RunState.CANCELED:  # no worker has the run, so no worker frees its batches
            end_training(self._dao.batches, run, run.state, run.reason, self._clock())
        return run


def _request_of(run: TrainingRun) -> pb.StartTrainingRequest:
    """The request that queued a run, without fields that only the newer server that stored it knows."""
    request = pb.StartTrainingRequest.FromString(run.request)
    discard_unknown_fields(request)
    return request


def _existing_run(run: TrainingRun | None) -> TrainingRun:
    if run is None:
        raise NotFound(Reason.TRAINING_RUN_NOT_FOUND, "run_id: there is no such run")
    return run


def _check_batch_ids(request: pb.StartTrainingRequest) -> None:
    violations = fields.Violations()
    if not request.batch_ids:
        violations.append(FieldViolation("batch_ids", "is required"))
    if len(request.batch_ids) > limits.BATCHES_PER_RUN:
        description = f"has {len(request.batch_ids)} batches; {limits.BATCHES_PER_RUN} are allowed"
        violations.append(FieldViolation("batch_ids", description, fields.LIMIT))
    seen = set()
    for index, batch_id in enumerate(request.batch_ids[: limits.BATCHES_PER_RUN]):
        fields.check_id(batch_id, f"batch_ids[{index}]", violations)
        if batch_id in seen:
            violations.append(FieldViolation(f"batch_ids[{index}]", "is listed twice"))
        seen.add(batch_id)
    if violations:
        raise InvalidArgument(violations)
