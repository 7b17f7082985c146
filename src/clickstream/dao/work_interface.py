"""What the store of work and its results offers, by concern; see `interface` for what holds of every method."""

from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime
from typing import Protocol

from clickstream.converter import ConversionSummary
from clickstream.improvement import ImprovementState, ImprovementTask, Outcome
from clickstream.promotions import Promotion, PromotionOrder
from clickstream.runs import CurvePoint, ModelVersion, RunState, TrainingProgress, TrainingRun
from clickstream.sessions import StoredSession

Position = tuple[datetime, str]
"""Where a listing by time stands: the last row's time and id."""


class ImprovementDao(Protocol):
    """The improvement queue, one task per session; a task belongs to at most one run at a time."""

    def queue(self, session: StoredSession, at: datetime, query: str = "") -> tuple[ImprovementTask, bool]:
        """Queues a session, with its normalised query, unless it was queued before; says whether it was created."""
        ...

    def get(self, session_id: str) -> ImprovementTask | None:
        """The task of this session."""
        ...

    def list(
        self, after: Position | None, limit: int, states: Set[ImprovementState], run_id: str = ""
    ) -> list[ImprovementTask]:
        """Tasks in queueing order; no state and no run means any."""
        ...

    def counts(self) -> Mapping[ImprovementState, int]:
        """How many tasks are in each state of which there are any."""
        ...

    def cancel(self, session_id: str, at: datetime) -> ImprovementTask | None:
        """Cancels a pending task and returns the task as it now is; None if there is none."""
        ...

    def retry(self, session_id: str, at: datetime) -> bool:
        """Makes a task pending again that is `RETRYABLE`, as if it were queued now; says whether it did."""
        ...

    def waiting(self, now: datetime, limit: int) -> tuple[int, datetime | None]:
        """How many pending tasks may be tried, counted up to the limit, and since when the first of them may."""
        ...

    def due(self, now: datetime, limit: int) -> Mapping[str, str]:
        """The pending tasks that may be tried, those that wait longest first: session id → normalised query."""
        ...

    def take(self, session_ids: Sequence[str], run_id: str, now: datetime, lease_until: datetime) -> int:
        """Moves those of the tasks that are still pending into a run, and says how many these were.

        The first one decides: if another took it, none is taken, so that of several who see the same tasks
        waiting one takes them all.
        """
        ...

    def hold(self, run_id: str, lease_until: datetime) -> Sequence[ImprovementTask]:
        """Renews the lease of the run's tasks that are processing, and returns these by place."""
        ...

    def unattended(self, now: datetime) -> str | None:
        """The run of a processing task whose lease has expired, the longest first."""
        ...

    def put_back(self, run_id: str, lease_ended_by: datetime, at: datetime) -> None:
        """Makes those of a run's processing tasks pending again whose lease ends by then."""
        ...

    def settle(self, run_id: str, session_ids: Sequence[str], outcome: Outcome, at: datetime) -> None:
        """Ends the attempt of those of the tasks that are still processing in this run."""
        ...


class RunDao(Protocol):
    """Training runs, held by one worker at a time under a lease."""

    def create(self, run: TrainingRun) -> tuple[TrainingRun, bool]:
        """Stores a queued run unless its id is taken; says whether it was created.

        Raises:
            FailedPrecondition: the run improves, and another that does is not over: see `improving`.
        """
        ...

    def get(self, run_id: str) -> TrainingRun | None:
        """The run with this id."""
        ...

    def of_batch(self, batch: int, before: Position | None, limit: int) -> list[TrainingRun]:
        """Runs over the batch with this sequence number, the newest first."""
        ...

    def batches_in_use(self) -> Set[int]:
        """The batches, by sequence number, that a run names which has not ended."""
        ...

    def model_version(self, model_version_id: str) -> ModelVersion | None:
        """The model version with this id."""
        ...

    def model_versions(self, before: Position | None, limit: int, *, improved_only: bool) -> list[ModelVersion]:
        """Model versions, the newest first; positions are of `created_at` and the run's id."""
        ...

    def list(self, before: Position | None, limit: int, states: Set[RunState]) -> list[TrainingRun]:
        """Runs, the newest first; no state means any."""
        ...

    def promotion_due(self) -> ModelVersion | None:
        """A version whose gate said yes and about whose promotion nobody has decided yet."""
        ...

    def promotion_decided(self, run_id: str) -> None:
        """Says that the promotion of this run's version was made, or refused."""
        ...

    def improving(self) -> str | None:
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
        """Lets go of a run that has not ended, for any worker to take from `not_before` on."""
        ...

    def finish(
        self, run_id: str, owner: str, state: RunState, reason: str, model_version: ModelVersion | None, at: datetime
    ) -> bool:
        """Ends a run, if the owner still holds it; only then its model version exists."""
        ...

    def request_cancel(self, run_id: str, at: datetime) -> TrainingRun | None:
        """Ends a queued run as canceled, or asks the holder of a running one to stop; None if unknown."""
        ...


class JudgementDao(Protocol):
    """Judgements as `judgements.packed` made them, by the SHA-256 that names them."""

    def keep(self, sha256: str, content: bytes) -> None:
        """Keeps them, if they are not kept already."""
        ...

    def get(self, sha256: str) -> bytes | None:
        """What is kept under this name."""
        ...


class PromotionDao(Protocol):
    """The log of promotions; its last entry says which model version is promoted."""

    def current(self) -> Promotion | None:
        """The last entry; None if nothing was ever promoted."""
        ...

    def list(self, before: int | None, limit: int) -> list[Promotion]:
        """Entries, the newest first, below sequence number `before`."""
        ...

    def knows(self, request_id: str) -> bool:
        """Whether an order with this request id was carried out."""
        ...

    def append(self, order: PromotionOrder, at: datetime) -> tuple[Promotion, bool]:
        """Carries an order out, once per request id; says whether it was now.

        Raises:
            FailedPrecondition: another version is promoted than expected, or nothing to roll back to.
            AlreadyExists: the request id was used for another order.
        """
        ...


class ChangeDao(Protocol):
    """What brings work: new or ended runs, runs and sessions that are given back, queued sessions; and time."""

    def follow(self, told: Callable[[], None], is_stopped: Callable[[], bool]) -> bool:
        """Calls `told` when it begins, and after changes from then on, until `is_stopped`, which it asks each second.

        Returns:
            False, at once, if this store cannot tell of changes.
        """
        ...

    def next_end(self, after: datetime) -> datetime | None:
        """The first moment after this one at which the lease of a run or a task ends, or a run's wait."""
        ...
