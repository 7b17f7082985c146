"""The improvement queue: sessions that were put forward one by one, and the rules by which they are trained."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice

from clickstream.domain import limits

LONGEST_BACKOFF = timedelta(days=1)


class ImprovementState(StrEnum):
    """Where a task is in its life."""

    PENDING = "pending"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELED = "canceled"


# What somebody may put forward again: the fault may have been a trainer's, a template's or a person's.
RETRYABLE = frozenset({ImprovementState.FAILED, ImprovementState.REFUSED, ImprovementState.CANCELED})


@dataclass(frozen=True, slots=True)
class ImprovementTask:
    """One session in the queue, with its place in the log; times are in UTC.

    `attempts` counts the runs that have ended with it, since it was put forward or retried. `run_id` is the run
    that it belongs to while it is processing, and the last one afterwards. `lease_ends_at` is set meanwhile only:
    then somebody looks whether its run goes on. Who works on it is said by the run's own lease, which is renewed
    more often.
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
    """What a run that has ended means for a task: a final state, or pending again from `not_before` on."""

    state: ImprovementState
    reason: str
    model_version_id: str = ""
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class QueueRules:
    """When waiting sessions become a training run, and how often each is tried.

    A run begins when `least` sessions wait, or one of them for `age`, if it could be judged: see `split.Split`.
    A session fails after `attempts` runs that failed; in between it waits for `backoff`, and for twice as long
    each time.
    """

    least: int
    age: timedelta
    attempts: int
    backoff: timedelta

    def is_due(self, waiting: int, since: datetime | None, now: datetime) -> bool:
        """Whether so many sessions are to become a run, of which the first has waited since then."""
        return waiting >= self.least or (since is not None and since <= now - self.age)

    def after_failure(self, attempts: int, reason: str, now: datetime) -> TaskOutcome:
        """What becomes of a session whose run failed, after so many failed runs before."""
        if attempts + 1 >= self.attempts:
            return TaskOutcome(ImprovementState.FAILED, reason)
        # As a number: a timedelta would overflow.
        seconds = min(self.backoff.total_seconds() * 2**attempts, LONGEST_BACKOFF.total_seconds())
        return TaskOutcome(ImprovementState.PENDING, reason, not_before=now + timedelta(seconds=seconds))


def group_of(waiting: Mapping[str, str]) -> dict[str, str]:
    """The sessions that a run takes: all that wait or, if these are too many for one, of each query the first ones.

    Thousands of a few queries, over which no run begins, would else keep all others waiting.

    Args:
        waiting: Session id → normalised query, those that wait longest first.
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
