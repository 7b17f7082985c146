"""The improvement queue in the store."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from typing import Protocol

from clickstream.dao.interface.list_cursor import ListCursor
from clickstream.domain.improvement import ImprovementState, ImprovementTask, Outcome
from clickstream.domain.sessions import StoredSession


class ImprovementDao(Protocol):
    """The improvement queue, one task per session; a task belongs to at most one run at a time."""

    def queue(self, session: StoredSession, at: datetime, query: str = "") -> tuple[ImprovementTask, bool]:
        """Queues a session, with its normalised query, unless it was queued before; says whether it was created."""
        ...

    def get(self, session_id: str) -> ImprovementTask | None:
        """The task of this session."""
        ...

    def list(
        self, after: ListCursor | None, limit: int, states: Set[ImprovementState], run_id: str = ""
    ) -> list[ImprovementTask]:
        """Tasks in queueing order; no state and no run means any."""
        ...

    def counts(self) -> Mapping[ImprovementState, int]:
        """How many tasks are in each state of which there are any."""
        ...

    def cancel(self, session_id: str, at: datetime) -> ImprovementTask | None:
        """Cancels a pending task and returns the task as it now is; None if there is none."""
        ...

    def retry(self, session_id: str, at: datetime) -> bool:
        """Makes a task pending again that is `RETRYABLE`, as if it were queued now; says whether it did."""
        ...

    def waiting(self, now: datetime, limit: int) -> tuple[int, datetime | None]:
        """How many pending tasks may be tried, counted up to the limit, and since when the first of them may."""
        ...

    def due(self, now: datetime, limit: int) -> Mapping[str, str]:
        """The pending tasks that may be tried, those that wait longest first: session id → normalised query."""
        ...

    def take(self, session_ids: Sequence[str], run_id: str, now: datetime, lease_until: datetime) -> int:
        """Moves those of the tasks that are still pending into a run, and says how many these were.

        The first one decides: if another took it, none is taken, so that of several who see the same tasks
        waiting one takes them all.
        """
        ...

    def hold(self, run_id: str, lease_until: datetime) -> Sequence[ImprovementTask]:
        """Renews the lease of the run's tasks that are processing, and returns these by place."""
        ...

    def unattended(self, now: datetime) -> str | None:
        """The run of a processing task whose lease has expired, the longest first."""
        ...

    def put_back(self, run_id: str, lease_ended_by: datetime, at: datetime) -> None:
        """Makes those of a run's processing tasks pending again whose lease ends by then."""
        ...

    def settle(self, run_id: str, session_ids: Sequence[str], outcome: Outcome, at: datetime) -> None:
        """Ends the attempt of those of the tasks that are still processing in this run."""
        ...
