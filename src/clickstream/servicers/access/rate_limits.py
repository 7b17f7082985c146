"""What each caller has used of its share: a token bucket of calls and one of bytes, and its open streams (R23)."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from clickstream.domain import call_limits
from clickstream.domain.call_limits import CallLimits, OwnLimits
from clickstream.domain.errors import Reason, ResourceExhausted

# Callers that are looked at to forget one: a new caller costs the same however many there are.
_FORGET_TRIES = 10


class RateLimit:
    """A token bucket: it holds up to `burst`, and fills by `rate` a second.

    Source: Turner, "New directions in communications (or which way to the information age?)", IEEE Communications
    Magazine 24(10), 1986, there called leaky bucket as a meter.
    """

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = now

    def take(self, amount: float, now: float) -> float:
        """Takes an amount if anything is left: one that is larger than the burst passes, and is then made up for.

        Returns:
            0.0, or the seconds to wait if nothing is left; then nothing was taken.
        """
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left <= 0:
            return -self._left / self._rate + amount / self._rate
        self._left -= amount
        return 0.0


class Share:
    """What one caller has used, and of what. `own` is what it may use, where that differs from other callers."""

    __slots__ = (
        "_bytes",
        "_calls",
        "bulk_reads",
        "most_streams",
        "name",
        "own",
        "receiving",
        "room",
        "streams",
        "unread_bytes",
    )

    def __init__(self, name: str, limits: CallLimits, own: OwnLimits | None, now: float) -> None:
        self.name = name
        self.streams = 0
        self.bulk_reads = 0
        self.unread_bytes = 0
        # The tasks of calls whose request has not arrived yet, and the room for those beyond AT_ONCE.
        self.receiving: set[asyncio.Task[Any]] = set()
        self.room = asyncio.Semaphore(call_limits.QUEUED_AT_ONCE)
        self.limit(limits, own, now)

    def limit(self, limits: CallLimits, own: OwnLimits | None, now: float) -> None:
        """Sets what the caller may use. What it used of its rates until now is forgotten."""
        burst, differing = call_limits.BURST_SECONDS, own or OwnLimits()
        calls = differing.calls_per_second or limits.calls_per_second
        received = differing.bytes_per_second or limits.bytes_per_second
        self.own = own
        self.most_streams = differing.streams or limits.streams
        self._calls = RateLimit(calls, calls * burst, now)
        self._bytes = RateLimit(received, received * burst, now)

    def take_call(self, size: int, now: float) -> None:
        """Takes one call with `size` bytes. Raises ResourceExhausted."""
        if wait := self._calls.take(1, now):
            raise ResourceExhausted(
                Reason.CALL_RATE_EXCEEDED, "too many calls a second for one caller", wait, self.name
            )
        if wait := self._bytes.take(size, now):
            raise ResourceExhausted(
                Reason.BYTE_RATE_EXCEEDED, "too many bytes a second for one caller", wait, self.name
            )

    def take_message(self, size: int, now: float) -> float:
        """Takes a message of a stream with `size` bytes. Returns the seconds to wait before the next try, or 0.0."""
        return self._bytes.take(size, now)


class Shares:
    """The shares of all callers of a process. Belongs to its event loop."""

    def __init__(self, limits: CallLimits, clock: Callable[[], float] = time.monotonic) -> None:
        """Takes the limits, and a clock in seconds."""
        self.limits = limits
        self.clock = clock
        self._shares: OrderedDict[str, Share] = OrderedDict()
        self._refusals: OrderedDict[str, RateLimit] = OrderedDict()

    def of(self, name: str, own: OwnLimits | None = None) -> Share:
        """The share of a caller, which may use what `own` says where that differs from other callers."""
        share = self._shares.get(name)
        if share is None:
            share = self._shares[name] = Share(name, self.limits, own, self.clock())
            self._forget()
        elif share.own != own:
            share.limit(self.limits, own, self.clock())
        self._shares.move_to_end(name)
        return share

    def _forget(self) -> None:
        for _ in range(_FORGET_TRIES):
            if len(self._shares) <= call_limits.CALLERS:
                return
            name, share = next(iter(self._shares.items()))
            if share.streams or share.receiving:
                self._shares.move_to_end(name)
            else:
                del self._shares[name]

    def refuse(self, address: str) -> None:
        """Counts a call without a valid token from an address. Raises ResourceExhausted if it makes too many."""
        rate, now = call_limits.REFUSALS_PER_SECOND, self.clock()
        limit = self._refusals.get(address)
        if limit is None:
            limit = self._refusals[address] = RateLimit(rate, 10 * rate, now)
            if len(self._refusals) > call_limits.CALLERS:
                self._refusals.popitem(last=False)
        self._refusals.move_to_end(address)
        if wait := limit.take(1, now):
            raise ResourceExhausted(
                Reason.REFUSALS_EXCEEDED, "too many calls without a valid token from this address", wait, "address"
            )


def address_of(peer: str) -> str:
    """The address in gRPC's name of a peer, without its port: `ipv4:10.0.0.7:51234` gives `ipv4:10.0.0.7`.

    Every peer of a Unix socket is one: `unix`.
    """
    kind, _, rest = peer.partition(":")
    return f"{kind}:{rest.rpartition(':')[0]}" if kind in ("ipv4", "ipv6") else kind
