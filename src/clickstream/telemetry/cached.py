"""Costly figures, which are read from the store: at most every few seconds, and never for long."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from clickstream.telemetry.metrics import Reading

# Figures of this age are still shown.
FRESH_SECONDS = 5.0
# A scrape waits for the store no longer than this: Prometheus gives up after ten seconds.
WAIT_SECONDS = 2.0

logger = logging.getLogger(__name__)


class CachedFigures:
    """Reads parts of figures in one thread of their own. A scrape that comes early gets those of the last reading.

    A part that cannot be read, or not in time, is absent, and its `store_figures_up` is 0.
    """

    def __init__(self, parts: Mapping[str, Callable[[], Iterable[Reading]]]) -> None:
        """Takes what reads each part, by its name. It blocks, and may raise."""
        self._parts = parts
        self._lock = threading.Lock()
        self._read_at = -FRESH_SECONDS
        self._found: dict[str, list[Reading]] = {}
        self._done = threading.Event()
        self._done.set()

    def __call__(self) -> list[Reading]:
        """The figures of all parts."""
        with self._lock:
            if self._done.is_set() and time.monotonic() - self._read_at >= FRESH_SECONDS:
                self._done.clear()
                self._found = {}
                threading.Thread(target=self._read, name="figures", daemon=True).start()
        self._done.wait(WAIT_SECONDS)
        found = dict(self._found)
        up = [Reading("store_figures_up", float(part in found), {"part": part}) for part in self._parts]
        return [*up, *(reading for readings in found.values() for reading in readings)]

    def _read(self) -> None:
        try:
            for part, read in self._parts.items():
                try:
                    self._found[part] = list(read())
                except Exception as error:  # one part that fails keeps no other from being shown
                    logger.warning("the figures of the %s cannot be read: %s", part, error)
        finally:
            self._read_at = time.monotonic()
            self._done.set()
