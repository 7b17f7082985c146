"""Batches in the store."""

from collections.abc import Set
from datetime import datetime
from typing import Protocol

from clickstream.domain.batches import Batch, BatchStatus


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
