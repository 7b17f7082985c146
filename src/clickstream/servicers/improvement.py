"""ImprovementService: schedulers put single sessions into the improvement queue and follow their tasks."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from embedding_studio.clickstream.v1 import improvement_service_pb2 as pb
from embedding_studio.clickstream.v1 import session_pb2
from embedding_studio.clickstream.v1.improvement_service_pb2_grpc import ImprovementServiceServicer
from typing_extensions import override

from clickstream.contract.improvement import improvement_summary_message, improvement_task_message
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.errors import FailedPrecondition, NotFound, Reason
from clickstream.domain.improvement import RETRYABLE, ImprovementState, ImprovementTask, group_of
from clickstream.domain.limits import IMPROVEMENT_LOOK
from clickstream.domain.query_split import Split, normalised
from clickstream.domain.runs import FineTuningSettings
from clickstream.domain.sessions import StoredSession
from clickstream.servicers.boundary import Context
from clickstream.servicers.checks import fields, page_tokens
from clickstream.servicers.lookups import existing_session

# Run id → the lease of the run: its owner and its end. None: no worker has the run now.
Leases = Mapping[str, tuple[str, datetime] | None]


class ImprovementServicer(ImprovementServiceServicer):
    """Writes to the improvement queue and reads from it; the worker trains on its sessions."""

    def __init__(self, dao: ClickstreamDao, clock: Callable[[], datetime], defaults: FineTuningSettings) -> None:
        """Takes the store and the clock.

        `defaults` are the settings of the queue's runs: their seed and share say which queries a run would hold out.
        """
        self._dao = dao
        self._clock = clock
        self._defaults = defaults

    @override
    async def UseSessionForImprovement(
        self, request: pb.UseSessionForImprovementRequest, context: Context
    ) -> pb.UseSessionForImprovementResponse:
        session_id = fields.checked_id(request.session_id, "session_id")
        task, created = await asyncio.to_thread(self._queue, session_id)
        leases = await asyncio.to_thread(self._leases, [task])
        return pb.UseSessionForImprovementResponse(task=_message(task, leases), created=created)

    def _queue(self, session_id: str) -> tuple[ImprovementTask, bool]:
        if task := self._dao.improvement.get(session_id):
            return task, False
        session, query = self._improvable(session_id)
        return self._dao.improvement.queue(session, self._clock(), query)

    def _improvable(self, session_id: str) -> tuple[StoredSession, str]:
        """A session that training can use, and its normalised query.

        Raises:
            NotFound: There is no such session.
            FailedPrecondition: Training cannot use it; the reason says why.
        """
        session = existing_session(self._dao.sessions.get(session_id))
        if session.irrelevant_at is not None:
            raise FailedPrecondition(Reason.SESSION_IRRELEVANT, "the session is marked irrelevant")
        if session.erased:  # its events were erased with it
            raise FailedPrecondition(Reason.SESSION_EVENTLESS, "the session was erased")
        search = session_pb2.Session.FromString(session.payload)
        if search.payload_search:
            raise FailedPrecondition(Reason.SESSION_PAYLOAD_SEARCH, "the session is a payload search")
        if not self._dao.events.has_any(session.batch, session.number):
            raise FailedPrecondition(Reason.SESSION_EVENTLESS, "the session has no event")
        return session, normalised(search.query)

    @override
    async def GetImprovementTask(
        self, request: pb.GetImprovementTaskRequest, context: Context
    ) -> pb.GetImprovementTaskResponse:
        session_id = fields.checked_id(request.session_id, "session_id")
        task = _queued(await asyncio.to_thread(self._dao.improvement.get, session_id))
        leases = await asyncio.to_thread(self._leases, [task])
        return pb.GetImprovementTaskResponse(task=_message(task, leases))

    @override
    async def ListImprovementTasks(
        self, request: pb.ListImprovementTasksRequest, context: Context
    ) -> pb.ListImprovementTasksResponse:
        page_size = fields.checked_page_size(request.page_size)
        kind, method = pb.ImprovementState, "ListImprovementTasks"
        states = page_tokens.enum_filter(request.states, kind, "IMPROVEMENT_STATE_", ImprovementState, "states")
        run_id = fields.checked_run_id(request.run_id) if request.run_id else ""
        filters = [*states, f"run_id={run_id}"]
        after = page_tokens.decode_position(request.page_token, method, filters)
        tasks = await asyncio.to_thread(self._dao.improvement.list, after, page_size, states, run_id)
        leases = await asyncio.to_thread(self._leases, tasks)
        page, last = page_tokens.cut_page(tasks, lambda task: _message(task, leases), page_size)
        token = page_tokens.encode_position(method, last.queued_at, last.session_id, filters) if last else ""
        summary = await asyncio.to_thread(self._summary) if request.include_summary else None
        return pb.ListImprovementTasksResponse(tasks=page, next_page_token=token, summary=summary)

    @override
    async def CancelImprovementTask(
        self, request: pb.CancelImprovementTaskRequest, context: Context
    ) -> pb.CancelImprovementTaskResponse:
        session_id = fields.checked_id(request.session_id, "session_id")
        task = _queued(await asyncio.to_thread(self._dao.improvement.cancel, session_id, self._clock()))
        if task.state is not ImprovementState.CANCELED:
            raise FailedPrecondition(
                Reason.STATE_CONFLICT, f"the task is {task.state}", {"state": f"IMPROVEMENT_STATE_{task.state.name}"}
            )
        return pb.CancelImprovementTaskResponse(task=improvement_task_message(task))

    @override
    async def RetryImprovementTask(
        self, request: pb.RetryImprovementTaskRequest, context: Context
    ) -> pb.RetryImprovementTaskResponse:
        session_id = fields.checked_id(request.session_id, "session_id")
        task, retried = await asyncio.to_thread(self._retry, session_id)
        leases = await asyncio.to_thread(self._leases, [task])
        return pb.RetryImprovementTaskResponse(task=_message(task, leases), retried=retried)

    def _retry(self, session_id: str) -> tuple[ImprovementTask, bool]:
        task = _queued(self._dao.improvement.get(session_id))
        if task.state not in RETRYABLE:
            return task, False
        self._improvable(session_id)
        retried = self._dao.improvement.retry(session_id, self._clock())
        return _queued(self._dao.improvement.get(session_id)), retried

    def _summary(self) -> pb.ImprovementSummary:
        due = group_of(self._dao.improvement.due(self._clock(), IMPROVEMENT_LOOK))
        split = Split.of(due.values(), self._defaults.seed, self._defaults.held_out_share, self._defaults.folds)
        counts, open_run_id = self._dao.improvement.counts(), self._dao.runs.open_improvement_run() or ""
        return improvement_summary_message(counts, open_run_id, split, split.shortage() if due else "")

    def _leases(self, tasks: Sequence[ImprovementTask]) -> Leases:
        """The leases of the runs that process these tasks. One read per run; one run at a time processes tasks."""
        runs = {task.run_id for task in tasks if task.state is ImprovementState.PROCESSING}
        return {run_id: self._dao.runs.lease(run_id) for run_id in runs}


def _message(task: ImprovementTask, leases: Leases) -> pb.ImprovementTask:
    lease = leases[task.run_id] if task.state is ImprovementState.PROCESSING else None
    return improvement_task_message(task, lease)


def _queued(task: ImprovementTask | None) -> ImprovementTask:
    if task is None:
        raise NotFound(Reason.IMPROVEMENT_TASK_NOT_FOUND, "session_id: this session was never queued for improvement")
    return task
