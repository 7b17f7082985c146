"""Runs over released batches: what they hold, read and leave behind (R10)."""

from collections.abc import Callable, Iterator
from datetime import datetime

from clickstream.conversion.reader import InputReader
from clickstream.dao.interface.batches import end_training
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.batches import BatchStatus, batch_id_of, no_batch
from clickstream.domain.errors import FailedPrecondition, Reason
from clickstream.domain.runs import RunState, TrainingRun
from clickstream.domain.training_inputs import ConversionSummary, TrainingInput

TRAINABLE = frozenset({BatchStatus.RELEASED, BatchStatus.TRAINED, BatchStatus.FAILED})


class BatchBusy(Exception):
    """Another run trains on a batch of this one."""


class RunBatches:
    """The batches of the runs of one worker. Every method blocks and can be repeated."""

    def __init__(self, dao: ClickstreamDao, inputs: InputReader, clock: Callable[[], datetime]) -> None:
        self._dao = dao
        self._inputs = inputs
        self._clock = clock

    def begin(self, run: TrainingRun) -> None:
        """Puts the run's batches into training; all stay as they were if one of them cannot be trained now.

        Only what another worker does to a batch between the look at it and its turn comes too late for that: those
        before it are this run's from then on.

        Raises:
            BatchBusy: Another run holds one.
            NotFound: One does not exist.
            FailedPrecondition: One is archived.
        """
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

    def pages(self, run: TrainingRun, summary: ConversionSummary) -> Iterator[list[TrainingInput]]:
        """The inputs of the run, batch by batch; counts in `summary` as it goes.

        Raises:
            NotFound: A batch does not exist.
        """
        for sequence in run.batches:
            batch = self._dao.batches.get(sequence)
            if batch is None:
                raise no_batch(batch_id_of(sequence))
            yield from self._inputs.pages(sequence, batch.session_count, 0, summary)

    def end(self, run: TrainingRun, state: RunState, reason: str) -> None:
        """Takes those of the run's batches that it holds out of training."""
        end_training(self._dao.batches, run, state, reason, self._clock())
