"""What waits to be sent, without any I/O: a bounded queue with a lane per session, and the counters."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from embedding_studio.clickstream.v1.session_pb2 import Event, Session

from clickstream.client.queue_settings import QueueSettings
from clickstream.domain import limits

# What a waiting item costs at most beside its message's bytes: objects, a lane, the message's own memory.
OVERHEAD_BYTES = 2_000
# One PushEvents call: well below the service's 4 MiB, and enough for full throughput.
CALL_BYTES = 1024 * 1024

# Per item: ACCEPTED, DUPLICATE or why it failed, and what the server said about it.
Verdict = tuple[str, str]
ACCEPTED = "accepted"
DUPLICATE = "duplicate"
CLIENT_CLOSED = "CLIENT_CLOSED"


class QueueFullError(Exception):
    """The queue holds as many bytes as it may; nothing was queued."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What became of everything queued, sessions and events alike, at one moment.

    `queued == accepted + duplicate + sum(failed.values()) + dropped + waiting`, always.

    Attributes:
        queued: Given to `register` and `push`; what met QueueFullError is not counted.
        sent: Went out in a call at least once.
        accepted: Stored by this client.
        duplicate: Already stored with the same content, as after a retry whose first answer was lost.
        failed: Not stored and not retried, by reason: a name of `error_reason.proto` without its
            prefix, a gRPC status name, or CLIENT_CLOSED for what was left when the client closed.
        dropped: Refused by a full queue with `overflow="drop"`.
        retries: Calls sent again.
        waiting: Queued or in flight.
        waiting_bytes: Their bytes, as `max_bytes` counts them.
    """

    queued: int
    sent: int
    accepted: int
    duplicate: int
    failed: Mapping[str, int]
    dropped: int
    retries: int
    waiting: int
    waiting_bytes: int


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that will not be stored by this client. `reason` is as in `Stats.failed`."""

    session_id: str
    message: Session | Event
    reason: str
    description: str


@dataclass(frozen=True, slots=True)
class Item:
    """A queued session or event."""

    message: Session | Event
    size: int
    queued_at: float
    epoch: int


@dataclass(slots=True)
class Lane:
    """What waits for one session, in the order in which it was queued.

    One call of a lane is in flight at a time, so no event can overtake its session.
    """

    session_id: str
    waiting: deque[Item] = field(default_factory=deque)
    in_flight: list[Item] = field(default_factory=list)


class Outbox:
    """The queue of one client, for any number of threads. Only `take` and `flush` wait."""

    def __init__(self, settings: QueueSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._due = threading.Condition(self._lock)
        self._settled = threading.Condition(self._lock)
        self._lanes: dict[str, Lane] = {}
        # Lanes with something to send and nothing in flight, and how many items they hold.
        self._ready: deque[Lane] = deque()
        self._ready_items = 0
        self._waiting_bytes = 0
        # How many items wait, by the epoch in which they were queued; each flush ends an epoch.
        self._epochs: Counter[int] = Counter()
        self._epoch = 0
        self._flushing = 0
        self._is_closed = False
        self._is_abandoned = False
        self._counts: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    def put(self, session_id: str, message: Session | Event) -> None:
        """Queues a message, which from then on belongs to the queue.

        Raises:
            QueueFullError: The queue is full and does not drop.
            RuntimeError: The queue is closed.
        """
        size = message.ByteSize() + OVERHEAD_BYTES
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the client is closed")
            full = self._waiting_bytes + size > self._settings.max_bytes
            if full and self._settings.overflow == "raise":
                raise QueueFullError(f"{self._waiting_bytes} of {self._settings.max_bytes} bytes wait already")
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
                # In between, somebody waits already, for as long as the first lane lingers.
                if self._ready_items in (1, self._settings.batch_events):
                    self._due.notify()

    def take(self) -> Lane | None:
        """Waits for the next lane with a call's worth `in_flight`; None once all is abandoned."""
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
        """How long nothing is to be sent; None: until something is put or settled."""
        if not self._ready:
            return None
        if self._flushing or self._ready_items >= self._settings.batch_events:
            return 0.0
        return self._ready[0].waiting[0].queued_at + self._settings.linger - self._clock()

    def count_retry(self) -> None:
        """Counts a call that is sent again."""
        with self._lock:
            self._counts["retries"] += 1

    def settle(self, lane: Lane, verdicts: Sequence[Verdict]) -> list[Failure]:
        """Ends what the lane has in flight, one verdict per item; returns the failures.

        Raises:
            ValueError: The verdicts are more or fewer than the items; nothing has changed.
        """
        with self._lock:
            if self._is_abandoned:
                return []
            if len(verdicts) != len(lane.in_flight):
                raise ValueError(f"{len(verdicts)} verdicts on {len(lane.in_flight)} items")
            failures = self._end(lane.session_id, lane.in_flight, verdicts)
            lane.in_flight = []
            if lane.waiting:
                self._ready.append(lane)
                self._ready_items += len(lane.waiting)
                self._due.notify()
            else:
                del self._lanes[lane.session_id]
            return failures

    def _end(self, session_id: str, items: Sequence[Item], verdicts: Sequence[Verdict]) -> list[Failure]:
        failures = []
        for item, (outcome, description) in zip(items, verdicts, strict=True):
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
        """Waits until all that was queued before is settled; returns whether it is after `timeout` seconds.

        Meanwhile nothing lingers.
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
        """Ends everything that still waits as CLIENT_CLOSED, and returns it. To be called after `close`."""
        closed = (CLIENT_CLOSED, "no acknowledgement before the client closed")
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
    """Takes the first session, or the first events up to the bounds of a call."""
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
