"""The settings of the background queue."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """How sessions and events wait in the background queue, and how they are sent.

    Attributes:
        max_bytes: Bytes that may wait or be in flight, with 2 kB added per item.
        overflow: What a full queue does: `raise` QueueFullError, or `drop` the new item and count it.
        batch_events: Number of waiting items at which the queue sends at once, without lingering.
        linger: Seconds that an item may wait for others to share its call.
        in_flight: Number of calls at the same time, each of another session; also the number of threads.
        timeout: Deadline of one call, in seconds. Keep it above the server's own limit for its store, by default 10 s.
        close_timeout: Seconds that closing may take to send what waits, also when the interpreter ends.
    """

    max_bytes: int = 64 * 1024 * 1024
    overflow: Literal["raise", "drop"] = "raise"
    batch_events: int = 500
    linger: float = 0.1
    in_flight: int = 8
    timeout: float = 15.0
    close_timeout: float = 10.0
