"""When a worker looks for work: at once where the store tells of changes, and every so often anyway."""

import asyncio
import contextlib
import logging
import math
import threading

from clickstream.dao.interface.changes import ChangeDao
from clickstream.domain.errors import Unavailable

# Between two looks where the store tells of nothing.
POLL_SECONDS = 1.0

# Where it does. What time brings without a moment that is known, the age of a batch for example, waits so long.
FOLLOWED_POLL_SECONDS = 5.0

REOPEN_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Waking:
    """Wakes one worker; belongs to one event loop."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._poll_seconds = POLL_SECONDS

    def wake(self) -> None:
        """Lets the worker look at once, or once more if it is looking."""
        self._changed.set()

    async def wait(self, seconds: float = math.inf) -> None:
        """Returns when it is time to look for work: when woken, after so many seconds, or at the next poll."""
        # Not `asyncio.wait_for`, which in Python 3.11 swallows a cancellation that comes together with the change.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, self._poll_seconds)):
                await self._changed.wait()
        # Before the look: what changes while the worker looks makes it look again.
        self._changed.clear()

    async def follow(self, changes: ChangeDao) -> None:
        """Wakes the worker by changes until cancelled; returns if the store tells of none.

        Where it stood in the stream need not be known after a loss: the first look finds all that was missed.
        """
        loop, stopped = asyncio.get_running_loop(), threading.Event()

        def told() -> None:
            loop.call_soon_threadsafe(self._told)

        try:
            while True:
                try:
                    if not await asyncio.to_thread(changes.follow, told, stopped.is_set):
                        logger.info("the store is no replica set: work is looked for every %g s", POLL_SECONDS)
                        return
                except Unavailable as error:
                    logger.warning("changes are not told: %s", error)
                self._poll_seconds = POLL_SECONDS
                await asyncio.sleep(REOPEN_SECONDS)
        finally:
            stopped.set()

    def _told(self) -> None:
        self._poll_seconds = FOLLOWED_POLL_SECONDS
        self.wake()
