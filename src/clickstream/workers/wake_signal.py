"""When a worker looks for work: at once where the store reports changes, and at intervals in any case."""

import asyncio
import contextlib
import logging
import math
import threading

from clickstream.dao.interface.changes import ChangeDao
from clickstream.domain.errors import Unavailable

# Poll interval while no changes are reported.
POLL_SECONDS = 1.0

# Poll interval while changes are reported. Only age-based work (a batch due for release, say) is found by
# polling.
FOLLOWED_POLL_SECONDS = 5.0

# Before a lost stream of changes is opened again.
REOPEN_SECONDS = 1.0

logger = logging.getLogger(__name__)


class WakeSignal:
    """Wakes one worker; belongs to one event loop."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._poll_seconds = POLL_SECONDS

    def wake(self) -> None:
        """Makes the worker look at once or, if it is looking, once more."""
        self._changed.set()

    async def wait(self, seconds: float = math.inf) -> None:
        """Returns when it is time to look for work: when woken, after `seconds`, or at the next poll."""
        # Not `asyncio.wait_for`, which in Python 3.11 swallows a cancellation that comes together with the change.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, self._poll_seconds)):
                await self._changed.wait()
        # Before the look: what changes while the worker looks makes it look again.
        self._changed.clear()

    async def follow(self, changes: ChangeDao) -> None:
        """Wakes the worker at each change until cancelled; returns at once if the store reports none.

        A lost stream is opened again from the present, not from where it broke off: the look that follows
        finds all that was missed.
        """
        loop, stopped = asyncio.get_running_loop(), threading.Event()

        def on_change() -> None:
            loop.call_soon_threadsafe(self._notify)

        try:
            while True:
                try:
                    if not await asyncio.to_thread(changes.follow, on_change, stopped.is_set):
                        logger.info(
                            "MongoDB is not a replica set and reports no changes: workers look for work every %g s",
                            POLL_SECONDS,
                        )
                        return
                except Unavailable as error:
                    logger.warning("the stream of changes is lost: %s", error)
                self._poll_seconds = POLL_SECONDS
                await asyncio.sleep(REOPEN_SECONDS)
        finally:
            stopped.set()

    def _notify(self) -> None:
        self._poll_seconds = FOLLOWED_POLL_SECONDS
        self.wake()
