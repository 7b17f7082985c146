"""The settings of what is sent in the background."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """How sessions and events wait and go out in the background.

    Attributes:
        max_bytes: Bytes that may wait, those in flight and 2 kB per item included.
        overflow: What a full queue does: `raise` QueueFullError, or `drop` the new item and count it.
        batch_events: So many waiting items go out at once, without lingering.
        linger: Seconds that an item may wait for others to share its call.
        in_flight: Calls at the same time, each of another session.
        timeout: Deadline of one call in seconds; above the server's own for its store, 10 s by default.
        close_timeout: Seconds that closing, at the interpreter's end too, may take to send what waits.
    """

    max_bytes: int = 64 * 1024 * 1024
    overflow: Literal["raise", "drop"] = "raise"
    batch_events: int = 500
    linger: float = 0.1
    in_flight: int = 8
    timeout: float = 15.0
    close_timeout: float = 10.0
