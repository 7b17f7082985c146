"""Batch work without a caller (R10): frees batches of ended runs and, where configured, releases and archives."""

import logging
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.batches import Batch, BatchRules, BatchStatus
from clickstream.domain.errors import FailedPrecondition
from clickstream.domain.runs import ENDED, RunState

# Batches that one pass archives (the rest waits for the next pass), and batches in training that one query reads.
LOOKS = 100
NEVER = timedelta()
TRAINING = frozenset({BatchStatus.TRAINING})

logger = logging.getLogger(__name__)


class BatchUpkeep:
    """Batch work for one worker. Blocks; any number of workers may do it at once."""

    def __init__(self, dao: ClickstreamDao, rules: BatchRules, clock: Callable[[], datetime]) -> None:
        self._dao = dao
        self._rules = rules
        self._clock = clock

    def run_once(self) -> None:
        """Frees batches whose run has ended, releases the collecting batch if it is due, and archives the due ones."""
        self._free()
        if self._rules.release_sessions or self._rules.release_age > NEVER:
            self._release()
        if self._rules.archive_after > NEVER:
            self._archive()

    def _free(self) -> None:
        """Takes batches out of training whose run has ended or does not exist.

        A worker ends a run's batches before it ends the run. Batches stay in training all the same if it stalled
        for longer than its lease between claiming the run and putting the batches into training: it then does so
        after another worker has ended both.
        """
        before = None
        while in_training := self._dao.batches.list(before, LOOKS, TRAINING):
            for batch in in_training:
                self._free_of_ended_run(batch)
            before = in_training[-1].sequence

    def _free_of_ended_run(self, batch: Batch) -> None:
        run = self._dao.runs.get(batch.run_id)
        if run is not None and run.state not in ENDED:
            return
        to = BatchStatus.TRAINED if run is not None and run.state is RunState.SUCCEEDED else BatchStatus.FAILED
        reason = f"freed: run {batch.run_id} {f'has {run.state}' if run else 'does not exist'}"
        # The run is part of the comparison: a batch that another run has taken meanwhile stays with that run.
        freed = self._dao.batches.change_status(
            batch.sequence, TRAINING, to, run_id=batch.run_id, reason=reason, at=self._clock()
        )
        if freed is not None:
            logger.warning("%s is %s: %s", batch.batch_id, to, reason)

    def _release(self) -> None:
        batch = self._dao.batches.collecting()
        if not batch.session_count or not self._is_due(batch):
            return
        try:
            # The sequence number is given: a worker or scheduler that comes late never releases the next batch.
            self._dao.batches.release(f"auto-{batch.batch_id}-{uuid.uuid4().hex}", batch.sequence, self._clock())
        except FailedPrecondition as error:
            logger.info("%s is not released by this worker: %s", batch.batch_id, error)
        else:
            logger.info("%s is released", batch.batch_id)

    def _is_due(self, batch: Batch) -> bool:
        rules = self._rules
        if rules.release_sessions and batch.session_count >= rules.release_sessions:
            return True
        if rules.release_age <= NEVER:
            return False
        [first] = self._dao.sessions.page(batch.sequence, 0, 1, include_irrelevant=True).sessions
        # A client may have dated the session back; the batch is still no older than its opening.
        began = max(first.created_at, batch.opened_at or first.created_at)
        return self._clock() - began >= rules.release_age

    def _archive(self) -> None:
        for _ in range(LOOKS):
            now = self._clock()
            after = f"{self._rules.archive_after.total_seconds():g} s after its last training"
            # A run that is queued after this read finds its batch archived: it fails and takes none of its batches.
            in_use = self._dao.runs.batches_in_use()
            batch = self._dao.batches.archive(now - self._rules.archive_after, after, now, leaving=in_use)
            if batch is None:
                break
            logger.info("%s is archived", batch.batch_id)
