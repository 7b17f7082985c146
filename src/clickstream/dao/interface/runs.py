"""Training runs, model versions and judgements in the store."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from typing import Protocol

from clickstream.dao.interface.list_cursor import ListCursor
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import CurvePoint, RunState, TrainingProgress, TrainingRun
from clickstream.domain.training_inputs import ConversionSummary


class RunDao(Protocol):
    """Training runs. One worker at a time, the `owner`, has a lease on a run."""

    def create(self, run: TrainingRun) -> tuple[TrainingRun, bool]:
        """Stores a queued run. If its id is taken, returns the stored run and False.

        Raises:
            FailedPrecondition: the run is one of the improvement queue, and another such run is open: see
                `open_improvement_run`.
        """
        ...

    def get(self, run_id: str) -> TrainingRun | None:
        """The run with this id; None if there is none."""
        ...

    def of_batch(self, batch: int, before: ListCursor | None, limit: int) -> list[TrainingRun]:
        """Up to `limit` runs over the batch with this sequence number, the newest first."""
        ...

    def batches_in_use(self) -> Set[int]:
        """The sequence numbers of the batches of all runs that have not ended."""
        ...

    def model_version(self, model_version_id: str) -> ModelVersion | None:
        """The model version with this id; None if there is none."""
        ...

    def model_versions(self, before: ListCursor | None, limit: int, *, gate_passed_only: bool) -> list[ModelVersion]:
        """Up to `limit` model versions, the newest first; the cursor is of `created_at` and the run's id."""
        ...

    def list(self, before: ListCursor | None, limit: int, states: Set[RunState]) -> list[TrainingRun]:
        """Up to `limit` runs, the newest first; an empty `states` selects all."""
        ...

    def promotion_due(self) -> ModelVersion | None:
        """A version that passed its gate and whose promotion is not decided yet; None if there is none."""
        ...

    def promotion_decided(self, run_id: str) -> None:
        """Marks the promotion of this run's version as decided (made or refused).

        No worker takes it up again.
        """
        ...

    def open_improvement_run(self) -> str | None:
        """The run of the improvement queue that has not ended, or whose version's promotion is not decided."""
        ...

    def counts(self) -> Mapping[RunState, int]:
        """The number of runs by state; a state without runs may be absent."""
        ...

    def claim(self, owner: str, now: datetime, lease_until: datetime) -> TrainingRun | None:
        """Leases the oldest free run to `owner`, a queued one or one with an expired lease; None if no run is free."""
        ...

    def renew(
        self, run_id: str, owner: str, lease_until: datetime, progress: TrainingProgress | None
    ) -> TrainingRun | None:
        """Renews a lease and stores progress; None if the owner has lost the lease.

        The progress's points are merged into the run's curve, and points beyond the progress's step are removed.
        """
        ...

    def lease(self, run_id: str) -> tuple[str, datetime] | None:
        """The owner of the run's lease, and when it ends; None if no worker has one."""
        ...

    def curve(self, run_id: str) -> Sequence[CurvePoint]:
        """A run's curve, one point per step, in order of the steps."""
        ...

    def set_conversion(self, run_id: str, owner: str, conversion: ConversionSummary) -> None:
        """Stores the counts of the conversion, if the owner still has the lease."""
        ...

    def give_back(
        self, run_id: str, owner: str, state: RunState, reason: str, available_at: datetime, attempts: int
    ) -> None:
        """Ends the owner's lease on a run that goes on; any worker may claim it from `available_at` on.

        A run that was asked to stop can be claimed at once: the worker that claims it ends it.
        """
        ...

    def finish(
        self, run_id: str, owner: str, state: RunState, reason: str, model_version: ModelVersion | None, at: datetime
    ) -> bool:
        """Ends a run and creates its model version, if the owner still has the lease; otherwise returns False."""
        ...

    def request_cancel(self, run_id: str, at: datetime) -> TrainingRun | None:
        """Cancels a run that no worker has, or asks the owner of another to stop; None if there is no such run.

        The batches of a run that has begun stay in training: `batches.end_training` frees them.
        """
        ...


class JudgementDao(Protocol):
    """Judgements by their SHA-256, both as `domain.judgements.packed` makes them."""

    def keep(self, sha256: str, content: bytes) -> None:
        """Stores judgements unless they are stored already."""
        ...

    def get(self, sha256: str) -> bytes | None:
        """The judgements with this SHA-256; None if there are none."""
        ...
