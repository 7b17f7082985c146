"""ImprovementService: schedulers put sessions forward one by one and follow what becomes of them."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from embedding_studio.clickstream.v1 import improvement_service_pb2 as pb
from embedding_studio.clickstream.v1 import session_pb2
from embedding_studio.clickstream.v1.improvement_service_pb2_grpc import ImprovementServiceServicer

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
from clickstream.servicers.lookups import known


class ImprovementServicer(ImprovementServiceServicer):
    """Writes to and reads from the improvement queue; the worker trains what waits in it.

    `defaults` are the settings by which a run of the queue splits its queries.
    """

    def __init__(self, dao: ClickstreamDao, clock: Callable[[], datetime], defaults: FineTuningSettings) -> None:
        self._dao = dao
        self._clock = clock
        self._defaults = defaults

    async def UseSessionForImprovement(  # noqa: N802
        self, request: pb.UseSessionForImprovementRequest, context: Context
    ) -> pb.UseSessionForImprovementResponse:
        """See the contract."""
        session_id = fields.checked_id(request.session_id, "session_id")
        task, created = await asyncio.to_thread(self._queue, session_id)
        [message] = await asyncio.to_thread(self._messages, [task])
        return pb.UseSessionForImprovementResponse(task=message, created=created)

    def _queue(self, session_id: str) -> tuple[ImprovementTask, bool]:
        if task := self._dao.improvement.get(session_id):
            return task, False
        session, query = self._improvable(session_id)
        return self._dao.improvement.queue(session, self._clock(), query)

    def _improvable(self, session_id: str) -> tuple[StoredSession, str]:
        """A session that can be put forward, and its normalised query."""
        session = known(self._dao.sessions.get(session_id))
        if session.irrelevant_at is not None:
            raise FailedPrecondition(Reason.SESSION_IRRELEVANT, "the session is marked irrelevant")
        search = session_pb2.Session.FromString(session.payload)
        if search.payload_search:
            raise FailedPrecondition(Reason.SESSION_PAYLOAD_SEARCH, "the session is a payload search")
        if not self._dao.events.has_any(session.batch, session.number):
            raise FailedPrecondition(Reason.SESSION_EVENTLESS, "the session has no event")
        return session, normalised(search.query)

    async def GetImprovementTask(  # noqa: N802
        self, request: pb.GetImprovementTaskRequest, context: Context
    ) -> pb.GetImprovementTaskResponse:
        """See the contract."""
        session_id = fields.checked_id(request.session_id, "session_id")
        task = _queued(await asyncio.to_thread(self._dao.improvement.get, session_id))
        [message] = await asyncio.to_thread(self._messages, [task])
        return pb.GetImprovementTaskResponse(task=message)

    async def ListImprovementTasks(  # noqa: N802
        self, request: pb.ListImprovementTasksRequest, context: Context
    ) -> pb.ListImprovementTasksResponse:
        """See the contract."""
        violations = fields.Violations()
        page_size = fields.check_page_size(request.page_size, violations)
        fields.require(violations)
        kind, method = pb.ImprovementState, "ListImprovementTasks"
        states = page_tokens.enum_filter(request.states, kind, "IMPROVEMENT_STATE_", ImprovementState, "states")
        run_id = fields.checked_run_id(request.run_id) if request.run_id else ""
        filters = [*states, f"run_id={run_id}"]
        after = page_tokens.decode_position(request.page_token, method, filters)
        tasks = await asyncio.to_thread(self._dao.improvement.list, after, page_size, states, run_id)
        messages = await asyncio.to_thread(self._messages, tasks)
        page, more = page_tokens.fitting(messages, lambda message: message, page_size)
        token = ""
        if more:
            last = tasks[len(page) - 1]
            token = page_tokens.encode_position(method, last.queued_at, last.session_id, filters)
        summary = await asyncio.to_thread(self._summary) if request.include_summary else None
        return pb.ListImprovementTasksResponse(tasks=page, next_page_token=token, summary=summary)

    async def CancelImprovementTask(  # noqa: N802
        self, request: pb.CancelImprovementTaskRequest, context: Context
    ) -> pb.CancelImprovementTaskResponse:
        """See the contract."""
        session_id = fields.checked_id(request.session_id, "session_id")
        task = _queued(await asyncio.to_thread(self._dao.improvement.cancel, session_id, self._clock()))
        if task.state is not ImprovementState.CANCELED:
            raise FailedPrecondition(
                Reason.STATE_CONFLICT, f"the task is {task.state}", {"state": f"IMPROVEMENT_STATE_{task.state.name}"}
            )
        return pb.CancelImprovementTaskResponse(task=improvement_task_message(task))

    async def RetryImprovementTask(  # noqa: N802
        self, request: pb.RetryImprovementTaskRequest, context: Context
    ) -> pb.RetryImprovementTaskResponse:
        """See the contract."""
        session_id = fields.checked_id(request.session_id, "session_id")
        task, retried = await asyncio.to_thread(self._retry, session_id)
        [message] = await asyncio.to_thread(self._messages, [task])
        return pb.RetryImprovementTaskResponse(task=message, retried=retried)

    def _retry(self, session_id: str) -> tuple[ImprovementTask, bool]:
        task = _queued(self._dao.improvement.get(session_id))
        if task.state not in RETRYABLE:
            return task, False
        self._improvable(session_id)
        retried = self._dao.improvement.retry(session_id, self._clock())
        return _queued(self._dao.improvement.get(session_id)), retried

    def _summary(self) -> pb.ImprovementSummary:
        due = group_of(self._dao.improvement.due(self._clock(), IMPROVEMENT_LOOK))
        split = Split.of(due.values(), self._defaults.seed, self._defaults.held_out_share)
        counts, open_run_id = self._dao.improvement.counts(), self._dao.runs.open_improvement_run() or ""
        return improvement_summary_message(counts, open_run_id, split, split.shortage() if due else "")

    def _messages(self, tasks: Sequence[ImprovementTask]) -> list[pb.ImprovementTask]:
        """Tasks for the contract, each with its run's lease: one read per run, of which one works at a time."""
        runs = {task.run_id for task in tasks if task.state is ImprovementState.PROCESSING}
        leases = {run_id: self._dao.runs.lease(run_id) for run_id in runs}
        return [
            improvement_task_message(task, leases[task.run_id] if task.state is ImprovementState.PROCESSING else None)
            for task in tasks
        ]


def _queued(task: ImprovementTask | None) -> ImprovementTask:
    if task is None:
        raise NotFound(Reason.IMPROVEMENT_TASK_NOT_FOUND, "session_id: was never put into the improvement queue")
    return task
