"""Batches and what became of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from clickstream.domain.batches import Batch
from clickstream.domain.runs import TrainingRun


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """A batch: its sessions by UTC day (from 1970-01-01), those that convert, the others by reason, its runs."""

    batch: Batch
    first_session_at: datetime | None
    last_session_at: datetime | None
    sessions_by_day: Mapping[int, int]
    converts: int
    skipped: Mapping[str, int]
    runs: Sequence[TrainingRun]
