"""Where a training run's inputs come from: released batches, or the improvement queue."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from clickstream.domain.runs import RunState, TrainingRun
from clickstream.domain.training_inputs import ConversionSummary, TrainingInput


class RunSource(Protocol):
    """What a run reads from. Every method blocks on the store and may be repeated, also by another worker."""

    def new_summary(self, run: TrainingRun) -> ConversionSummary:
        """An empty count, for one reading of `pages`."""
        ...

    def begin(self, run: TrainingRun) -> None:
        """Reserves for the run what it reads.

        Raises:
            BatchBusy: another run has reserved a part of it; this run waits.
            FailedPrecondition: the run can never read it; this run fails.
        """
        ...

    def pages(self, run: TrainingRun, summary: ConversionSummary) -> Iterator[list[TrainingInput]]:
        """The run's inputs, page by page, counted in `summary`. Every reading gives the same inputs (R14).

        Raises:
            FailedPrecondition: the inputs cannot train a model.
        """
        ...

    def end(self, run: TrainingRun, state: RunState, reason: str) -> None:
        """Frees what the run reserved. Called before the run's end is stored."""
        ...

    def settle(self, run_id: str) -> None:
        """Applies the stored end of a run to what it read. Does nothing while the run goes on."""
        ...


@dataclass(frozen=True, slots=True)
class RunSources:
    """The two sources of a worker's runs."""

    batches: RunSource
    improvement_queue: RunSource

    def of(self, run: TrainingRun) -> RunSource:
        """The source of this run."""
        return self.improvement_queue if run.from_improvement_queue else self.batches
