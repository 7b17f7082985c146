"""Counts what is refused, by hour, reason and client. Refusals leave no document, so nothing else remembers them."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime

from clickstream.dao.interface.refusals import RefusalDao, RefusalKey
from clickstream.domain import limits
from clickstream.domain.errors import FieldViolation, Reason, Unavailable

FLUSH_SECONDS = 10.0
# Clients name themselves: beyond this many kinds of refusals in one flush, they are not told apart.
KINDS = 1_000

logger = logging.getLogger(__name__)


class RefusalCounts:
    """The refusals of this process that the store does not have yet. Belongs to one event loop.

    Args:
        refusals: The store's counts.
        clock: The current time, in UTC.
    """

    def __init__(self, refusals: RefusalDao, clock: Callable[[], datetime]) -> None:
        self._refusals = refusals
        self._clock = clock
        self._counts = Counter[RefusalKey]()

    def note(self, reason: Reason, client: str = "", count: int = 1) -> None:
        """Counts refused requests or events."""
        hour = self._clock().replace(minute=0, second=0, microsecond=0)
        key = RefusalKey(hour, reason, client[: limits.CLIENT_NAME_CHARACTERS])
        if key not in self._counts and len(self._counts) >= KINDS:
            key = key._replace(client="")
        self._counts[key] += count

    def note_events(self, rejected: Iterable[FieldViolation], conflicts: int) -> None:
        """Counts the events of a push that were rejected, each under its reason, and those that were conflicts."""
        for violation in rejected:
            self.note(violation.reason)
        if conflicts:
            self.note(Reason.CONTENT_CONFLICT, "", conflicts)

    async def keep_flushing(self) -> None:
        """Adds the counts to the store every `FLUSH_SECONDS`, until it is cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Adds the counts to the store. If it does not answer, they are added the next time."""
        counts, self._counts = self._counts, Counter()
        try:
            await asyncio.to_thread(self._refusals.add, counts)
        except Unavailable as error:
            logger.warning("counts of refusals are added later: %s", error)
            self._counts.update(counts)
