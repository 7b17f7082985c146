"""Batches in the store."""

from collections.abc import Set
from datetime import datetime
from typing import Protocol

from clickstream.domain.batches import Batch, BatchStatus
from clickstream.domain.runs import RunState, TrainingRun


class BatchDao(Protocol):
    """Batches. The one that collects always exists, even before its first session."""

    def collecting(self) -> Batch:
        """The batch that takes new sessions."""
        ...

    def get(self, sequence: int) -> Batch | None:
        """The batch with this sequence number, counted from 1."""
        ...

    def list(self, before: int | None, limit: int, statuses: Set[BatchStatus]) -> list[Batch]:
        """The newest batches, below sequence number `before`; no status means any."""
        ...

    def release(self, release_id: str, sequence: int | None, at: datetime) -> Batch:
        """Closes the collecting batch; the same release id again gives the same batch.

        Raises:
            NotFound: there is no batch with this sequence number.
            FailedPrecondition: the batch is empty, or was released under another id.
            AlreadyExists: the release id belongs to another batch.
        """
        ...

    def change_status(
        self, sequence: int, expected: Set[BatchStatus], to: BatchStatus, *, run_id: str, reason: str, at: datetime
    ) -> Batch | None:
        """Compare-and-set along the allowed arrows; None if the status is none of the expected.

        A change to `training` from `training` is allowed to the run that holds the batch, and
        changes nothing; a change away from `training` only to that run.
        """
        ...

    def archive(self, before: datetime, reason: str, at: datetime, *, leaving: Set[int]) -> Batch | None:
        """Archives the batch whose training ended or failed first, if that was before this time; None if none was.

        The batches in `leaving`, by sequence number, are not considered.
        """
        ...


def end_training(batches: BatchDao, run: TrainingRun, state: RunState, reason: str, at: datetime) -> None:
    """Takes those of a run's batches that it has begun out of training; can be repeated.

    Args:
        batches: The store.
        run: The run that ends or has ended.
        state: How it ends.
        reason: Why it ends so.
        at: The present time.
    """
    status = BatchStatus.TRAINED if state is RunState.SUCCEEDED else BatchStatus.FAILED
    for sequence in run.batches:
        batches.change_status(
            sequence,
            frozenset({BatchStatus.TRAINING}),
            status,
            run_id=run.run_id,
            reason=f"run {run.run_id} {state}: {reason}",
            at=at,
        )
