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
        """The batch with this sequence number, counted from 1; None if there is none."""
        ...

    def list(self, before: int | None, limit: int, statuses: Set[BatchStatus]) -> list[Batch]:
        """Up to `limit` batches, the newest first, below sequence number `before`; an empty `statuses` selects all."""
        ...

    def release(self, release_id: str, sequence: int | None, at: datetime) -> Batch:
        """Closes the collecting batch. The same release id again returns the same batch, and changes nothing.

        Args:
            release_id: Chosen by the client.
            sequence: The batch that the client means; None for the collecting one.
            at: The time of the release.

        Raises:
            NotFound: there is no batch with this sequence number.
            FailedPrecondition: the batch is empty, or was released under another id.
            AlreadyExists: the release id belongs to another batch.
        """
        ...

    def change_status(
        self, sequence: int, expected: Set[BatchStatus], to: BatchStatus, *, run_id: str, reason: str, at: datetime
    ) -> Batch | None:
        """Sets the status if it is one of `expected`; returns the batch, or None if it is not.

        While a batch is in training, only the run that trains it may change its status. The same change again
        changes nothing and returns the batch.

        Raises:
            ValueError: `domain.batches.ALLOWED_CHANGES` forbids the change from an expected status.
        """
        ...

    def archive(self, before: datetime, reason: str, at: datetime, *, leaving: Set[int]) -> Batch | None:
        """Archives the batch whose training ended longest ago, if that was before `before`; None if there is none.

        Batches whose sequence number is in `leaving` are left alone.
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
