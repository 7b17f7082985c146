"""The improvement queue in the store."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from typing import Protocol

from clickstream.dao.interface.list_cursor import ListCursor
from clickstream.domain.improvement import ImprovementState, ImprovementTask, TaskOutcome
from clickstream.domain.sessions import StoredSession


class ImprovementDao(Protocol):
    """The improvement queue, one task per session; a task belongs to at most one run at a time."""

    def queue(self, session: StoredSession, at: datetime, query: str = "") -> tuple[ImprovementTask, bool]:
        """Queues a session with its normalised query; returns its task, and False if it was queued before."""
        ...

    def get(self, session_id: str) -> ImprovementTask | None:
        """The task of this session; None if it was never queued."""
        ...

    def list(
        self, after: ListCursor | None, limit: int, states: Set[ImprovementState], run_id: str = ""
    ) -> list[ImprovementTask]:
        """Up to `limit` tasks in queueing order; an empty `states` or `run_id` selects all."""
        ...

    def counts(self) -> Mapping[ImprovementState, int]:
        """The number of tasks by state; a state without tasks may be absent."""
        ...

    def cancel(self, session_id: str, at: datetime) -> ImprovementTask | None:
        """Cancels the task if it is pending; returns the task as it now is, or None if there is none."""
        ...

    def retry(self, session_id: str, at: datetime) -> bool:
        """Makes a task in a `RETRYABLE` state pending again, as if queued now; False if it is in no such state."""
        ...

    def waiting(self, now: datetime, limit: int) -> tuple[int, datetime | None]:
        """The number of pending tasks that may be tried, counted up to `limit`, and since when the first one may."""
        ...

    def due(self, now: datetime, limit: int) -> Mapping[str, str]:
        """The pending tasks that may be tried, the longest waiting first: session id → normalised query."""
        ...

    def take(self, session_ids: Sequence[str], run_id: str, now: datetime, lease_until: datetime) -> int:
        """Moves the tasks that are still pending into a run; returns their number.

        If the first of the tasks is no longer pending, none is taken: among several workers that read the same
        waiting tasks, one takes all of them.
        """
        ...

    def renew_lease(self, run_id: str, lease_until: datetime) -> Sequence[ImprovementTask]:
        """Renews the lease of the run's tasks that are processing; returns them in order of batch and number."""
        ...

    def expired_run(self, now: datetime) -> str | None:
        """The run of the processing task whose lease expired first; None if no lease has expired."""
        ...

    def put_back(self, run_id: str, lease_ended_by: datetime, at: datetime) -> None:
        """Makes the run's processing tasks pending again whose lease ends no later than `lease_ended_by`."""
        ...

    def settle(self, run_id: str, session_ids: Sequence[str], outcome: TaskOutcome, at: datetime) -> None:
        """Applies an outcome to the tasks that are still processing in this run, and counts the attempt."""
        ...
