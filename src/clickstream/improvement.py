"""The improvement queue: sessions that were put forward one by one."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ImprovementState(StrEnum):
    """Where a task is in its life."""

    PENDING = "pending"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class ImprovementTask:
    """One session in the queue; times are in UTC."""

    session_id: str
    state: ImprovementState
    queued_at: datetime
    updated_at: datetime
    reason: str = ""
