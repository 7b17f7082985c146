"""Batches: their names, states and allowed changes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from clickstream.domain.errors import FailedPrecondition, NotFound, Reason


class BatchStatus(StrEnum):
    """Where a batch is in its life."""

    COLLECTING = "collecting"
    RELEASED = "released"
    TRAINING = "training"
    TRAINED = "trained"
    FAILED = "failed"
    ARCHIVED = "archived"


ALLOWED_CHANGES: dict[BatchStatus, frozenset[BatchStatus]] = {
    BatchStatus.COLLECTING: frozenset({BatchStatus.RELEASED}),
    BatchStatus.RELEASED: frozenset({BatchStatus.TRAINING, BatchStatus.ARCHIVED}),
    BatchStatus.TRAINING: frozenset({BatchStatus.TRAINED, BatchStatus.FAILED}),
    BatchStatus.TRAINED: frozenset({BatchStatus.TRAINING, BatchStatus.ARCHIVED}),
    BatchStatus.FAILED: frozenset({BatchStatus.TRAINING, BatchStatus.ARCHIVED}),
    BatchStatus.ARCHIVED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class StatusChange:
    """One step of a batch's life; the time is in UTC."""

    status: BatchStatus
    at: datetime
    reason: str

    @classmethod
    def release(cls, release_id: str, at: datetime) -> "StatusChange":
        """The first one."""
        return cls(BatchStatus.RELEASED, at, f"release {release_id}")


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch; `sequence` counts batches from 1."""

    sequence: int
    status: BatchStatus
    session_count: int
    opened_at: datetime | None = None
    released_at: datetime | None = None
    release_id: str = ""
    run_id: str = ""
    history: Sequence[StatusChange] = ()

    @property
    def batch_id(self) -> str:
        """The name in the contract."""
        return batch_id_of(self.sequence)


@dataclass(frozen=True, slots=True)
class BatchRules:
    """What workers do with batches by themselves; 0 sessions and no time mean that they do not.

    The collecting batch is released when it has `release_sessions`, or at `release_age` after its first
    session. A batch is archived at `archive_after` after it was trained or its training failed.
    """

    release_sessions: int = 0
    release_age: timedelta = timedelta()
    archive_after: timedelta = timedelta()


def batch_id_of(sequence: int) -> str:
    """The contract's name of the batch with this sequence number."""
    return f"batch-{sequence}"


def sequence_of(batch_id: str) -> int | None:
    """The sequence number behind a batch's name, or None if no batch can have this name."""
    match = re.fullmatch(r"batch-([1-9][0-9]{0,8})", batch_id)
    return int(match.group(1)) if match else None


def no_batch(batch_id: str) -> NotFound:
    """The error of a call that names a batch which does not exist."""
    return NotFound(Reason.BATCH_NOT_FOUND, f"{batch_id} does not exist", {"batch_id": batch_id})


def check_releasable(sequence: int | None, collecting: int, session_count: int) -> None:
    """Checks the release of a batch under a new release id.

    Args:
        sequence: Of the batch to release; None means the one that collects.
        collecting: The sequence number of the batch that collects.
        session_count: The number of its sessions.

    Raises:
        NotFound: There is no such batch yet.
        FailedPrecondition: The batch was released under another id, or has no session.
    """
    if sequence is not None and sequence > collecting:
        raise no_batch(batch_id_of(sequence))
    if sequence is not None and sequence < collecting:
        raise FailedPrecondition(
            Reason.BATCH_ALREADY_RELEASED,
            "the batch was released under another release id",
            {"batch_id": batch_id_of(sequence)},
        )
    if session_count == 0:
        raise FailedPrecondition(Reason.BATCH_EMPTY, "the collecting batch has no session yet")
