"""The server's clock."""

import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """The server's time, cut to milliseconds as MongoDB stores it. Calls in one millisecond return the same object."""

    def __init__(self) -> None:
        self._millisecond = 0
        self._now = datetime.now(UTC)

    def __call__(self) -> datetime:
        """The present time in UTC."""
        millisecond = time.time_ns() // 1_000_000
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            self._now = EPOCH + timedelta(milliseconds=millisecond)
        return self._now


now = Clock()
