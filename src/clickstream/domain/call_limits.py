"""How much one caller, and all together, may ask of one process (R23)."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class CallLimits:
    """The limits of one process. A caller is a token, a client certificate or, without either, an address.

    The defaults lie beyond what one process can do, so an honest caller meets none of them.
    """

    calls_per_second: float = 10_000
    """Of one caller; it may make as many calls as in `BURST_SECONDS` at once."""
    bytes_per_second: float = 256 * 1024 * 1024
    """Request bytes of one caller; a stream that is faster is slowed down, a call is refused."""
    streams: int = 200
    """Open streams of one caller."""
    bulk_reads: int = 24
    """Open streams of one caller that hand out sessions, inputs, lineage or models: each keeps two pages in memory."""
    unread_bytes: int = 64 * 1024 * 1024
    """Responses of streams that one caller has not taken yet. Its streams wait beyond it."""
    calls_in_hand: int = 4_000
    """Calls and streams of all callers."""


class OwnLimits(NamedTuple):
    """Limits of one caller that differ from those of all others; None: as for all others."""

    calls_per_second: float | None = None
    bytes_per_second: float | None = None
    streams: int | None = None


BURST_SECONDS = 5.0
"""Time over which rates are averaged: a caller that was quiet may use so much of its rate at once."""
REFUSALS_PER_SECOND = 5.0
"""Calls without a valid token that one address may make, on average; it may make ten times as many at once."""
READER_SECONDS = 60.0
"""Time after which a stream ends whose caller takes no response."""
AT_ONCE = 6
"""Requests of one caller that are received at once; each may take `limits.TRANSPORT_BYTES`. Beyond it they queue."""
QUEUED_AT_ONCE = 2
"""Queued requests of one caller that are received at once."""
RECEIVE_SECONDS = 30.0
"""Time that a queued request may take to arrive once it is received."""
CALLERS = 10_000
"""Callers that are remembered. Beyond it the one that was quiet longest is forgotten, unless it has streams."""
TRAINER_SILENCE_SECONDS = 120.0
"""Time after which a trainer ends a training whose caller sends no further input, though the training wants one."""
