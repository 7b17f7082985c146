"""The figures of one method's calls: plain numbers, which cost a call about a microsecond to keep."""

from bisect import bisect_left
from dataclasses import dataclass, field

# Upper ends of the latency's buckets, in seconds: Prometheus' own, with finer ones below 5 ms, where most writes end.
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(slots=True)
class CallFigures:
    """What was counted of one method since the process began. Belongs to one event loop; any thread may read.

    `kind` is `unary`, `client_stream`, `server_stream` or `bidi_stream`. `codes` counts calls by the name of their
    status, `buckets` by their seconds: one count for each of `BOUNDS`, and one beyond. Bytes are those of messages.
    """

    service: str
    method: str
    kind: str
    started: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0
    received: int = 0
    sent: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0

    def ended(self, code: str, seconds: float) -> None:
        """Counts a call that ended with this status after so many seconds."""
        self.codes[code] = self.codes.get(code, 0) + 1
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def took(self, size: int) -> None:
        """Counts a message of `size` bytes from the caller."""
        self.received += 1
        self.received_bytes += size

    def gave(self, size: int) -> None:
        """Counts a message of `size` bytes to the caller."""
        self.sent += 1
        self.sent_bytes += size
