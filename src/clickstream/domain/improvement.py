"""The improvement queue: sessions that were put forward one by one, and the rules for training on them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice

from clickstream.domain import limits

LONGEST_BACKOFF = timedelta(days=1)


class ImprovementState(StrEnum):
    """The state of a task."""

    PENDING = "pending"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELED = "canceled"


# The states from which a task may be retried: the trainer, the template or a person may have been at fault.
RETRYABLE = frozenset({ImprovementState.FAILED, ImprovementState.REFUSED, ImprovementState.CANCELED})


@dataclass(frozen=True, slots=True)
class ImprovementTask:
    """One session in the queue, with its batch and number; times are in UTC.

    `attempts` counts the ended runs with this task since it was put forward or retried. `run_id` is the task's
    run while it is processing, and its last run afterwards. `lease_ends_at` is set only while processing; when it
    passes, a worker checks whether the run still exists. The worker itself is named by the run's lease, which is
    renewed more often. A pending task may be tried from `not_before` on.
    """

    session_id: str
    state: ImprovementState
    queued_at: datetime
    updated_at: datetime
    not_before: datetime
    batch: int
    number: int
    reason: str = ""
    attempts: int = 0
    run_id: str = ""
    model_version_id: str = ""
    lease_ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """What the end of its run makes of a task: a final state, or pending again from `not_before` on."""

    state: ImprovementState
    reason: str
    model_version_id: str = ""
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class QueueRules:
    """When waiting sessions become a training run, and how often each is tried.

    A run begins when `least` sessions wait or one of them has waited for `age`, provided that their distinct
    queries suffice (`query_split.Split.shortage`). A session fails after `attempts` failed runs. It waits for
    `backoff` after the first, and twice as long after each further one, up to `LONGEST_BACKOFF`.
    """

    least: int
    age: timedelta
    attempts: int
    backoff: timedelta

    def is_due(self, waiting: int, since: datetime | None, now: datetime) -> bool:
        """Whether `waiting` sessions, the first of which has waited since `since`, are to become a run."""
        return waiting >= self.least or (since is not None and since <= now - self.age)

    def after_failure(self, attempts: int, reason: str, now: datetime) -> TaskOutcome:
        """The outcome for a session whose run failed, after `attempts` failed runs before this one."""
        if attempts + 1 >= self.attempts:
            return TaskOutcome(ImprovementState.FAILED, reason)
        # Computed as a number of seconds: a timedelta would overflow.
        seconds = min(self.backoff.total_seconds() * 2**attempts, LONGEST_BACKOFF.total_seconds())
        return TaskOutcome(ImprovementState.PENDING, reason, not_before=now + timedelta(seconds=seconds))


def group_of(waiting: Mapping[str, str]) -> dict[str, str]:
    """The sessions for one run: all that wait or, if they are too many, the first ones of each query.

    Otherwise thousands of sessions with few distinct queries, for which no run begins, would keep all others
    waiting.

    Args:
        waiting: Session id → normalised query, the longest waiting first.
    """
    if len(waiting) <= limits.IMPROVEMENT_GROUP:
        return dict(waiting)
    counts: Counter[str] = Counter()
    group: dict[str, str] = {}
    for session_id, query in waiting.items():
        counts[query] += 1
        if counts[query] <= limits.IMPROVEMENT_GROUP_OF_A_QUERY:
            group[session_id] = query
    return dict(islice(group.items(), limits.IMPROVEMENT_GROUP))
