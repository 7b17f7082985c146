"""The improvement queue in memory."""

from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from datetime import datetime
from typing import Any

from clickstream.dao.interface.list_cursor import ListCursor
from clickstream.domain.improvement import RETRYABLE, ImprovementState, ImprovementTask, TaskOutcome
from clickstream.domain.sessions import StoredSession
from support.memory_state import Part, locked

PENDING, PROCESSING = ImprovementState.PENDING, ImprovementState.PROCESSING


class MemoryImprovement(Part):
    @locked
    def queue(self, session: StoredSession, at: datetime, query: str = "") -> tuple[ImprovementTask, bool]:
        task = ImprovementTask(session.session_id, PENDING, at, at, at, session.batch, session.number)
        kept = self._state.tasks.setdefault(session.session_id, task)
        self._state.queries.setdefault(session.session_id, query)
        return kept, kept is task

    @locked
    def get(self, session_id: str) -> ImprovementTask | None:
        return self._state.tasks.get(session_id)

    @locked
    def list(self, after: ListCursor | None, limit: int, states: Set[ImprovementState], run_id: str = "") -> Any:
        wanted = self._where(
            lambda task: (
                (not states or task.state in states)
                and run_id in ("", task.run_id)
                and (after is None or (task.queued_at, task.session_id) > after)
            )
        )
        return sorted(wanted, key=lambda task: (task.queued_at, task.session_id))[:limit]

    @locked
    def counts(self) -> dict[ImprovementState, int]:
        return dict(Counter(task.state for task in self._state.tasks.values()))

    @locked
    def cancel(self, session_id: str, at: datetime) -> ImprovementTask | None:
        task = self._state.tasks.get(session_id)
        if task is not None and task.state is PENDING:
            self._set(task, state=ImprovementState.CANCELED, updated_at=at, reason="canceled by request")
        return self._state.tasks.get(session_id)

    @locked
    def retry(self, session_id: str, at: datetime) -> bool:
        task = self._state.tasks.get(session_id)
        if task is None or task.state not in RETRYABLE:
            return False
        self._set(task, state=PENDING, updated_at=at, not_before=at, reason="", attempts=0, run_id="")
        return True

    @locked
    def waiting(self, now: datetime, limit: int) -> tuple[int, datetime | None]:
        due = self._due(now)[:limit]
        return len(due), due[0].not_before if due else None

    @locked
    def due(self, now: datetime, limit: int) -> dict[str, str]:
        return {task.session_id: self._state.queries[task.session_id] for task in self._due(now)[:limit]}

    @locked
    def take(self, session_ids: Sequence[str], run_id: str, now: datetime, lease_until: datetime) -> int:
        tasks = [self._state.tasks[session_id] for session_id in session_ids]
        if not tasks or tasks[0].state is not PENDING:
            return 0
        pending = [task for task in tasks if task.state is PENDING]
        for task in pending:
            self._set(task, state=PROCESSING, run_id=run_id, updated_at=now, reason="", lease_ends_at=lease_until)
        return len(pending)

    @locked
    def renew_lease(self, run_id: str, lease_until: datetime) -> Any:
        for task in self._in_run(run_id):
            self._set(task, lease_ends_at=lease_until)
        return sorted(self._in_run(run_id), key=lambda task: (task.batch, task.number))

    @locked
    def expired_run(self, now: datetime) -> str | None:
        expired = self._where(lambda task: task.lease_ends_at is not None and task.lease_ends_at <= now)
        return min(expired, key=lambda task: task.lease_ends_at).run_id if expired else None

    @locked
    def put_back(self, run_id: str, lease_ended_by: datetime, at: datetime) -> None:
        for task in self._in_run(run_id):
            if task.lease_ends_at <= lease_ended_by:
                self._let_go(task, state=PENDING, run_id="", updated_at=at)

    @locked
    def settle(self, run_id: str, session_ids: Sequence[str], outcome: TaskOutcome, at: datetime) -> None:
        for task in self._in_run(run_id):
            if task.session_id in session_ids:
                self._let_go(
                    task,
                    state=outcome.state,
                    reason=outcome.reason,
                    model_version_id=outcome.model_version_id,
                    updated_at=at,
                    not_before=outcome.not_before or task.not_before,
                    attempts=task.attempts + 1,
                )

    def _due(self, now: datetime) -> Any:
        due = self._where(lambda task: task.state is PENDING and task.not_before <= now)
        return sorted(due, key=lambda task: (task.not_before, task.session_id))

    def _where(self, wanted: Callable[[ImprovementTask], bool]) -> Any:
        return [task for task in self._state.tasks.values() if wanted(task)]

    def _in_run(self, run_id: str) -> Any:
        return self._where(lambda task: task.run_id == run_id and task.state is PROCESSING)

    def _let_go(self, task: ImprovementTask, **changes: Any) -> None:
        self._set(task, lease_ends_at=None, **changes)

    def _set(self, task: ImprovementTask, **changes: Any) -> None:
        self._state.tasks[task.session_id] = replace(task, **changes)
