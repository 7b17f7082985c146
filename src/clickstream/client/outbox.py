"""The queue of what waits to be sent, without any I/O: bounded, with a lane per session, and with counters."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from embedding_studio.clickstream.v1.session_pb2 import Event, Session

from clickstream.client.queue_reports import Failure, QueueFullError, Stats
from clickstream.client.queue_settings import QueueSettings
from clickstream.domain import limits

# Bytes that a waiting item costs at most beyond its encoded message: Python objects, a lane, the parsed message.
OVERHEAD_BYTES = 2_000
# Bytes of one PushEvents call: well below the service's 4 MiB, and enough for full throughput.
CALL_BYTES = 1024 * 1024

ACCEPTED = "accepted"
DUPLICATE = "duplicate"
CLIENT_CLOSED = "CLIENT_CLOSED"


class ItemOutcome(NamedTuple):
    """What became of one queued item: ACCEPTED, DUPLICATE or the reason of its failure, and the server's words."""

    outcome: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A queued session or event."""

    message: Session | Event
    size: int
    queued_at: float
    epoch: int


@dataclass(slots=True)
class Lane:
    """The queued items of one session, in their order.

    A lane has one call in flight at most, so no event can overtake its session.
    """

    session_id: str
    waiting: deque[Item] = field(default_factory=deque)
    in_flight: list[Item] = field(default_factory=list)


class Outbox:
    """The queue of one client. Every method may be called from any thread; only `take` and `flush` wait."""

    def __init__(self, settings: QueueSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._due = threading.Condition(self._lock)
        self._settled = threading.Condition(self._lock)
        self._lanes: dict[str, Lane] = {}
        # Lanes with items to send and nothing in flight, and the number of those items.
        self._ready: deque[Lane] = deque()
        self._ready_items = 0
        self._waiting_bytes = 0
        # Number of unsettled items by the epoch in which they were queued; each flush ends an epoch.
        self._epochs: Counter[int] = Counter()
        self._epoch = 0
        self._flushing = 0
        self._is_closed = False
        self._is_abandoned = False
        self._counts: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    def put(self, session_id: str, message: Session | Event) -> None:
        """Queues a message, which the caller must not change afterwards.

        Raises:
            QueueFullError: The queue is full and `QueueSettings.overflow` is `raise`.
            RuntimeError: The queue is closed.
        """
        size = message.ByteSize() + OVERHEAD_BYTES
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the client is closed")
            full = self._waiting_bytes + size > self._settings.max_bytes
            if full and self._settings.overflow == "raise":
                raise QueueFullError(
                    f"the queue is full: {self._waiting_bytes} of {self._settings.max_bytes} bytes wait for the server"
                )
            self._counts["queued"] += 1
            if full:
                self._counts["dropped"] += 1
                return
            self._waiting_bytes += size
            self._epochs[self._epoch] += 1
            lane = self._lanes.setdefault(session_id, Lane(session_id))
            lane.waiting.append(Item(message, size, self._clock(), self._epoch))
            if not lane.in_flight:
                if len(lane.waiting) == 1:
                    self._ready.append(lane)
                self._ready_items += 1
                # Between these two numbers a thread waits already, until the first lane has lingered.
                if self._ready_items in (1, self._settings.batch_events):
                    self._due.notify()

    def take(self) -> Lane | None:
        """Waits for the next lane that is due and puts one call's items `in_flight`; None after `abandon`."""
        with self._lock:
            while not self._is_abandoned:
                pause = self._seconds_until_due()
                if pause is None or pause > 0:
                    self._due.wait(pause)
                    continue
                lane = self._ready.popleft()
                self._ready_items -= len(lane.waiting)
                lane.in_flight = _next_call(lane.waiting)
                self._counts["sent"] += len(lane.in_flight)
                if self._ready:
                    self._due.notify()
                return lane
        return None

    def _seconds_until_due(self) -> float | None:
        """Seconds until the first lane has lingered; None if no lane waits for a call."""
        if not self._ready:
            return None
        if self._flushing or self._ready_items >= self._settings.batch_events:
            return 0.0
        return self._ready[0].waiting[0].queued_at + self._settings.linger - self._clock()

    def count_retry(self) -> None:
        """Counts a call that is sent again."""
        with self._lock:
            self._counts["retries"] += 1

    def settle(self, lane: Lane, outcomes: Sequence[ItemOutcome]) -> list[Failure]:
        """Settles the items that the lane has in flight, one outcome per item; returns the failures.

        After `abandon` it changes nothing and returns none.

        Raises:
            ValueError: There are more or fewer outcomes than items; nothing has changed.
        """
        with self._lock:
            if self._is_abandoned:
                return []
            if len(outcomes) != len(lane.in_flight):
                raise ValueError(f"{len(outcomes)} outcomes for {len(lane.in_flight)} items")
            failures = self._end(lane.session_id, lane.in_flight, outcomes)
            lane.in_flight = []
            if lane.waiting:
                self._ready.append(lane)
                self._ready_items += len(lane.waiting)
                self._due.notify()
            else:
                del self._lanes[lane.session_id]
            return failures

    def _end(self, session_id: str, items: Sequence[Item], outcomes: Sequence[ItemOutcome]) -> list[Failure]:
        failures = []
        for item, (outcome, description) in zip(items, outcomes, strict=True):
            if outcome in (ACCEPTED, DUPLICATE):
                self._counts[outcome] += 1
            else:
                self._failed[outcome] += 1
                failures.append(Failure(session_id, item.message, outcome, description))
            self._waiting_bytes -= item.size
            self._epochs[item.epoch] -= 1
            if not self._epochs[item.epoch]:
                del self._epochs[item.epoch]
                self._settled.notify_all()
        return failures

    def flush(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds until every item queued before is settled; returns whether it is.

        Nothing lingers while a flush waits.
        """
        with self._lock:
            epoch = self._epoch
            self._epoch += 1
            self._flushing += 1
            self._due.notify_all()
            try:
                return self._settled.wait_for(lambda: all(begun > epoch for begun in self._epochs), timeout)
            finally:
                self._flushing -= 1

    def close(self) -> None:
        """Refuses further messages."""
        with self._lock:
            self._is_closed = True

    def abandon(self) -> list[Failure]:
        """Fails every unsettled item as CLIENT_CLOSED, and returns the failures. Call `close` first."""
        closed = ItemOutcome(CLIENT_CLOSED, "no acknowledgement before the client closed")
        with self._lock:
            failures = []
            for lane in self._lanes.values():
                items = [*lane.in_flight, *lane.waiting]
                failures += self._end(lane.session_id, items, [closed] * len(items))
            self._lanes.clear()
            self._is_abandoned = True
            self._due.notify_all()
            return failures

    @property
    def stats(self) -> Stats:
        """The counters at this moment."""
        with self._lock:
            return Stats(
                queued=self._counts["queued"],
                sent=self._counts["sent"],
                accepted=self._counts[ACCEPTED],
                duplicate=self._counts[DUPLICATE],
                failed=dict(self._failed),
                dropped=self._counts["dropped"],
                retries=self._counts["retries"],
                waiting=self._epochs.total(),
                waiting_bytes=self._waiting_bytes,
            )


def _next_call(waiting: deque[Item]) -> list[Item]:
    """Takes the first session alone, or the first events up to the limits of a call."""
    taken = [waiting.popleft()]
    size = taken[0].message.ByteSize()
    while (
        waiting
        and isinstance(taken[0].message, Event)
        and isinstance(waiting[0].message, Event)
        and len(taken) < limits.EVENTS_PER_CALL
        and size + waiting[0].message.ByteSize() <= CALL_BYTES
    ):
        taken.append(waiting.popleft())
        size += taken[-1].message.ByteSize()
    return taken
