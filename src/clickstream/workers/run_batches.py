"""Runs over released batches: how they reserve, read and free their batches (R10)."""

from collections.abc import Callable, Iterator
from datetime import datetime

from typing_extensions import override

from clickstream.conversion.reader import InputReader
from clickstream.dao.interface.batches import end_training
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.batches import BatchStatus, batch_id_of, no_batch
from clickstream.domain.errors import FailedPrecondition, Reason
from clickstream.domain.runs import RunState, TrainingRun
from clickstream.domain.training_inputs import ConversionSummary, TrainingInput
from clickstream.workers.run_source import RunSource

TRAINABLE = frozenset({BatchStatus.RELEASED, BatchStatus.TRAINED, BatchStatus.FAILED})


class BatchBusy(Exception):
    """Another run trains on a batch of this one."""


class RunBatches(RunSource):
    """The batches of the runs of one worker. Every method blocks and may be repeated."""

    def __init__(self, dao: ClickstreamDao, inputs: InputReader, clock: Callable[[], datetime]) -> None:
        self._dao = dao
        self._inputs = inputs
        self._clock = clock

    @override
    def new_summary(self, run: TrainingRun) -> ConversionSummary:
        return self._inputs.new_summary(run.robot_verdict_number)

    @override
    def begin(self, run: TrainingRun) -> None:
        # All are checked first, so that a run that cannot train now leaves its batches as they were. A batch that
        # another worker changes after its check comes too late for that: those before it are in training already.
        for sequence in run.batches:
            self._check_free(sequence, run)
        # In one order for all runs: two that share batches never wait for each other.
        for sequence in sorted(run.batches):
            reason, at = f"run {run.run_id}", self._clock()
            begun = self._dao.batches.change_status(
                sequence, TRAINABLE, BatchStatus.TRAINING, run_id=run.run_id, reason=reason, at=at
            )
            if begun is None:
                self._check_free(sequence, run)
                raise BatchBusy(f"batch-{sequence} changed while the run began")

    def _check_free(self, sequence: int, run: TrainingRun) -> None:
        batch = self._dao.batches.get(sequence)
        if batch is None:
            raise no_batch(batch_id_of(sequence))
        if batch.status is BatchStatus.ARCHIVED:
            raise FailedPrecondition(Reason.STATE_CONFLICT, f"batch-{sequence} is archived")
        if batch.status is BatchStatus.TRAINING and batch.run_id != run.run_id:
            raise BatchBusy(f"waits for run {batch.run_id} on {batch.batch_id}")

    @override
    def pages(self, run: TrainingRun, summary: ConversionSummary) -> Iterator[list[TrainingInput]]:
        for sequence in run.batches:
            batch = self._dao.batches.get(sequence)
            if batch is None:
                raise no_batch(batch_id_of(sequence))
            yield from self._inputs.pages(sequence, batch.session_count, 0, summary)

    @override
    def end(self, run: TrainingRun, state: RunState, reason: str) -> None:
        end_training(self._dao.batches, run, state, reason, self._clock())

    @override
    def settle(self, run_id: str) -> None:
        pass  # `end` has freed the batches
