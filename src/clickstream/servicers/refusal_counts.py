"""Counts what is refused, by hour, reason and client: refusals leave no document. Counts the outcomes of events."""

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

    Any thread may read `totals`, by reason, and `outcomes`, of events: what was counted since the process began.
    """

    def __init__(self, refusals: RefusalDao, clock: Callable[[], datetime]) -> None:
        self._refusals = refusals
        self._clock = clock
        self._counts = Counter[RefusalKey]()
        self.totals = Counter[str]()
        self.outcomes = dict.fromkeys(("ACCEPTED", "DUPLICATE", "CONFLICT", "REJECTED"), 0)

    def note(self, reason: Reason, client: str = "", count: int = 1) -> None:
        """Counts refused requests or events."""
        self.totals[reason.value] += count
        hour = self._clock().replace(minute=0, second=0, microsecond=0)
        key = RefusalKey(hour, reason, client[: limits.CLIENT_NAME_CHARACTERS])
        if key not in self._counts and len(self._counts) >= KINDS:
            key = key._replace(client="")
        self._counts[key] += count

    def note_outcomes(self, accepted: int, duplicates: int = 0, conflicts: int = 0, rejected: int = 0) -> None:
        """Counts what became of the events of one push."""
        outcomes = self.outcomes
        outcomes["ACCEPTED"] += accepted
        outcomes["DUPLICATE"] += duplicates
        outcomes["CONFLICT"] += conflicts
        outcomes["REJECTED"] += rejected

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
