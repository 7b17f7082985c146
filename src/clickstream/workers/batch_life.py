"""What workers do with batches by themselves, where they are told to: release by size or age, and archive (R10)."""

import logging
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

from clickstream.batches import Batch, BatchRules
from clickstream.dao.interface import ClickstreamDao
from clickstream.errors import FailedPrecondition

# Batches archived in one go; what is left waits for the next.
LOOKS = 100
NEVER = timedelta()

logger = logging.getLogger(__name__)


class BatchLife:
    """Looks after batches for one worker. Blocks, and can be repeated by any number of workers at once."""

    def __init__(self, dao: ClickstreamDao, rules: BatchRules, clock: Callable[[], datetime]) -> None:
        self._dao = dao
        self._rules = rules
        self._clock = clock

    def look_after(self) -> None:
        """Releases the collecting batch if it is due, and archives the batches that are."""
        if self._rules.release_sessions or self._rules.release_age > NEVER:
            self._release()
        if self._rules.archive_after > NEVER:
            self._archive()

    def _release(self) -> None:
        batch = self._dao.batches.collecting()
        if not batch.session_count or not self._is_due(batch):
            return
        try:
            # The sequence decides: whoever is late, worker or scheduler, never releases the batch behind it.
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
        # A client may have dated the session back: the batch is no older than since it opened.
        began = max(first.created_at, batch.opened_at or first.created_at)
        return self._clock() - began >= rules.release_age

    def _archive(self) -> None:
        for _ in range(LOOKS):
            now = self._clock()
            after = f"{self._rules.archive_after.total_seconds():g} s after its last training"
            batch = self._dao.batches.archive(now - self._rules.archive_after, after, now)
            if batch is None:
                break
            logger.info("%s is archived", batch.batch_id)
