"""Training runs, model versions and judgements in the store."""

from collections.abc import Sequence, Set
from datetime import datetime
from typing import Protocol

from clickstream.dao.interface.list_cursor import ListCursor
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import CurvePoint, RunState, TrainingProgress, TrainingRun
from clickstream.domain.training_inputs import ConversionSummary


class RunDao(Protocol):
    """Training runs, held by one worker at a time under a lease."""

    def create(self, run: TrainingRun) -> tuple[TrainingRun, bool]:
        """Stores a queued run unless its id is taken; says whether it was created.

        Raises:
            FailedPrecondition: the run is one of the improvement queue, and another such run is open: see
                `open_improvement_run`.
        """
        ...

    def get(self, run_id: str) -> TrainingRun | None:
        """The run with this id."""
        ...

    def of_batch(self, batch: int, before: ListCursor | None, limit: int) -> list[TrainingRun]:
        """Runs over the batch with this sequence number, the newest first."""
        ...

    def batches_in_use(self) -> Set[int]:
        """The batches, by sequence number, that a run names which has not ended."""
        ...

    def model_version(self, model_version_id: str) -> ModelVersion | None:
        """The model version with this id."""
        ...

    def model_versions(self, before: ListCursor | None, limit: int, *, gate_passed_only: bool) -> list[ModelVersion]:
        """Model versions, the newest first; positions are of `created_at` and the run's id."""
        ...

    def list(self, before: ListCursor | None, limit: int, states: Set[RunState]) -> list[TrainingRun]:
        """Runs, the newest first; no state means any."""
        ...

    def promotion_due(self) -> ModelVersion | None:
        """A version whose gate said yes and about whose promotion nobody has decided yet."""
        ...

    def promotion_decided(self, run_id: str) -> None:
        """Says that the promotion of this run's version was made, or refused."""
        ...

    def open_improvement_run(self) -> str | None:
        """The run of the improvement queue that has not ended, or whose version's promotion is not decided."""
        ...

    def claim(self, owner: str, now: datetime, lease_until: datetime) -> TrainingRun | None:
        """Takes the oldest run that nobody holds: queued, or running with an expired lease."""
        ...

    def renew(
        self, run_id: str, owner: str, lease_until: datetime, progress: TrainingProgress | None
    ) -> TrainingRun | None:
        """Renews a lease and stores progress; None if the owner no longer holds the run.

        The points of the progress join the run's curve, which then ends at the progress's step.
        """
        ...

    def lease(self, run_id: str) -> tuple[str, datetime] | None:
        """Who holds this run, and until when; None if nobody does."""
        ...

    def curve(self, run_id: str) -> Sequence[CurvePoint]:
        """A run's curve, by step; what was logged at one step is one point."""
        ...

    def set_conversion(self, run_id: str, owner: str, conversion: ConversionSummary) -> None:
        """Stores what the conversion counted, if the owner still holds the run."""
        ...

    def give_back(
        self, run_id: str, owner: str, state: RunState, reason: str, not_before: datetime, attempts: int
    ) -> None:
        """Lets go of a run that has not ended, for any worker to take from `not_before` on.

        If it was asked to stop, it can be taken at once: whoever does ends it.
        """
        ...

    def finish(
        self, run_id: str, owner: str, state: RunState, reason: str, model_version: ModelVersion | None, at: datetime
    ) -> bool:
        """Ends a run, if the owner still holds it; only then its model version exists."""
        ...

    def request_cancel(self, run_id: str, at: datetime) -> TrainingRun | None:
        """Ends a run that no worker has as canceled, or asks the worker that has it to stop; None if unknown.

        The batches of a run that has begun stay in training: see `batches.end_training`.
        """
        ...


class JudgementDao(Protocol):
    """Judgements as `judgements.packed` made them, by the SHA-256 that names them."""

    def keep(self, sha256: str, content: bytes) -> None:
        """Keeps them, if they are not kept already."""
        ...

    def get(self, sha256: str) -> bytes | None:
        """What is kept under this name."""
        ...
