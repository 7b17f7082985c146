"""Reports where a run is, and stops it."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from clickstream.domain.runs import CurvePoint, Phase, TrainingProgress
from clickstream.domain.training_inputs import TrainingInput
from clickstream.training.curve import Curve

# Reports that no phase or metric makes due come this far apart.
SECONDS_PER_REPORT = 0.5


class Canceled(Exception):
    """The caller canceled the run; its checkpoints stay."""


class Progress:
    """Reports where the run is, records its curve, and stops it once it is canceled."""

    def __init__(
        self,
        report: Callable[[TrainingProgress], None],
        is_canceled: Callable[[], bool],
        curve: Curve | None = None,
    ) -> None:
        """Starts in the first phase, and reports nothing yet.

        Args:
            report: Called in the thread that trains.
            is_canceled: Asked at every `tick`.
            curve: Where losses and metrics are recorded; None records none.
        """
        self._report = report
        self._is_canceled = is_canceled
        self._curve = curve
        self._now = TrainingProgress(Phase.RECEIVING_INPUTS)
        self._reported_at = -math.inf
        self._input_count = 0
        self._losses: list[float] = []
        self._first_step = 0
        self._queries = 0
        self._started_at = 0.0

    def tick(self) -> None:
        """Reports if `SECONDS_PER_REPORT` have passed since the last report. Raises Canceled if the run is canceled."""
        if self._is_canceled():
            raise Canceled
        if time.monotonic() - self._reported_at >= SECONDS_PER_REPORT:
            self._send()

    def count_inputs(self, inputs: Iterable[TrainingInput]) -> Iterator[TrainingInput]:
        """Passes the inputs through, and reports how many have come. Raises Canceled."""
        for training_input in inputs:
            self._input_count += 1
            self.tick()
            yield training_input
        self._send()

    def enter_phase(self, phase: Phase) -> None:
        """Reports a new phase at once. Raises Canceled."""
        self._now = replace(self._now, phase=phase, remaining_seconds=0.0)
        self._send()
        self.tick()

    def start_training(self, first_step: int, step_count: int) -> None:
        """Enters the training phase, after `first_step` of `step_count` steps. Raises Canceled."""
        self._first_step, self._started_at = first_step, time.monotonic()
        self._now = replace(self._now, step=first_step, step_count=step_count)
        if self._curve:
            self._curve.begin(first_step, step_count)
        self.enter_phase(Phase.TRAINING)

    def after_step(self, loss: float, learning_rate: float, queries: int) -> None:
        """Records one optimizer step.

        Args:
            loss: Of this step.
            learning_rate: Of this step.
            queries: How many queries the step had.

        Raises:
            Canceled: The run is canceled.
        """
        self._losses.append(loss)
        self._queries += queries
        done = self._now.step + 1
        seconds = time.monotonic() - self._started_at
        self._now = replace(
            self._now,
            step=done,
            loss=math.fsum(self._losses) / len(self._losses),
            learning_rate=learning_rate,
            queries_per_second=self._queries / max(seconds, 1e-9),
            remaining_seconds=seconds / (done - self._first_step) * (self._now.step_count - done),
        )
        if self._curve:
            self._curve.record_step(done, loss, learning_rate)
        self.tick()

    def report_metrics(self, metrics: Mapping[str, float]) -> None:
        """Reports metrics at once, by their names; they stay in every later report."""
        self._now = replace(self._now, metrics={**self._now.metrics, **metrics})
        if self._curve:
            self._curve.record_metrics(self._now.step, metrics)
        self._send()

    def report_curve(self, points: Sequence[CurvePoint]) -> None:
        """Reports the whole curve of a run that has already ended: its last report may have been lost."""
        self._now = replace(self._now, step=max((point.step for point in points), default=0))
        self._send(tuple(points))

    def _send(self, points: tuple[CurvePoint, ...] = ()) -> None:
        self._reported_at = time.monotonic()
        self._losses.clear()
        self._now = replace(self._now, input_count=self._input_count)
        self._report(replace(self._now, points=points or (self._curve.take() if self._curve else ())))
