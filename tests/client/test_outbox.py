import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from support.builders import event, session, struct
from support.servers import wait_for

from clickstream.client.outbox import (
    ACCEPTED,
    CALL_BYTES,
    CLIENT_CLOSED,
    DUPLICATE,
    OVERHEAD_BYTES,
    ItemOutcome,
    Lane,
    Outbox,
)
from clickstream.client.queue_reports import Failure, QueueFullError
from clickstream.client.queue_settings import QueueSettings

AT_ONCE = QueueSettings(linger=0)
PATIENCE = 20


def take(outbox: Outbox) -> Lane:
    """Takes the next lane, which must be due."""
    lane = outbox.take()
    assert lane is not None
    return lane


def ids(lane: Lane) -> list[str]:
    """The ids of the items that a lane has in flight."""
    messages = [item.message for item in lane.in_flight]
    return [getattr(message, "event_id", "") or message.session_id for message in messages]


def settle(outbox: Outbox, lane: Lane, outcome: str = ACCEPTED) -> list[Failure]:
    """Settles every item in flight with the same outcome."""
    return outbox.settle(lane, [ItemOutcome(outcome, "because")] * len(lane.in_flight))


def is_balanced(outbox: Outbox) -> bool:
    """Whether the counters add up to the number of queued items."""
    stats = outbox.stats
    ended = stats.accepted + stats.duplicate + sum(stats.failed.values()) + stats.dropped
    return stats.queued == ended + stats.waiting


def test_no_event_overtakes_its_session() -> None:
    """A session is sent alone, and its events only after it is settled; other sessions do not wait for it."""
    outbox = Outbox(AT_ONCE)
    outbox.put("s-1", session("s-1"))
    first = take(outbox)
    assert ids(first) == ["s-1"]
    outbox.put("s-1", event("e-1"))
    outbox.put("s-1", event("e-3"))
    outbox.put("s-2", event("e-2"))
    second = take(outbox)
    assert ids(second) == ["e-2"]
    settle(outbox, first)
    assert ids(take(outbox)) == ["e-1", "e-3"]


def test_a_session_and_its_events_never_share_a_call() -> None:
    """Items that were queued together are sent in two calls: the session, then its events."""
    outbox = Outbox(AT_ONCE)
    outbox.put("s-1", session("s-1"))
    outbox.put("s-1", event("e-1"))
    lane = take(outbox)
    assert ids(lane) == ["s-1"]
    settle(outbox, lane)
    assert ids(take(outbox)) == ["e-1"]


def test_events_that_were_queued_before_their_session_are_sent_without_it() -> None:
    """A call with events carries no session; a session that was queued after them is sent next."""
    outbox = Outbox(AT_ONCE)
    outbox.put("s-1", event("e-1"))
    outbox.put("s-1", session("s-1"))
    lane = take(outbox)
    assert ids(lane) == ["e-1"]
    settle(outbox, lane)
    assert ids(take(outbox)) == ["s-1"]


def test_a_settled_call_is_over() -> None:
    """Closing fails the items that still wait, and none whose call was settled before."""
    outbox = Outbox(AT_ONCE)
    outbox.put("s-1", session("s-1"))
    lane = take(outbox)
    outbox.put("s-1", event("e-1"))
    settle(outbox, lane)
    outbox.put("s-1", event("e-2"))
    outbox.close()
    failures = outbox.abandon()
    assert [getattr(failure.message, "event_id", "") for failure in failures] == ["e-1", "e-2"]
    assert outbox.stats.waiting_bytes == 0
    assert is_balanced(outbox)


def test_r7_a_call_carries_a_thousand_events_at_most() -> None:
    """R7: a lane's events are split into calls within the contract's limit."""
    outbox = Outbox(AT_ONCE)
    for number in range(1_001):
        outbox.put("s-1", event(f"e-{number}"))
    lane = take(outbox)
    assert len(lane.in_flight) == 1_000
    settle(outbox, lane)
    assert ids(take(outbox)) == ["e-1000"]


def test_a_call_stays_below_its_bytes() -> None:
    """Large events are split into calls of 1 MiB, and an event that alone is larger is sent alone."""
    outbox = Outbox(AT_ONCE)
    for number in range(100):
        outbox.put("s-1", event(f"e-{number}", meta=struct(text="x" * 16_000)))
    outbox.put("s-1", event("huge", meta=struct(text="x" * 2 * CALL_BYTES)))
    calls = []
    while outbox.stats.waiting:
        lane = take(outbox)
        calls.append(ids(lane))
        assert len(lane.in_flight) == 1 or sum(item.message.ByteSize() for item in lane.in_flight) <= CALL_BYTES
        settle(outbox, lane)
    assert len(calls) == 3
    assert calls[-1] == ["huge"]


class Clock:
    """A time that a test sets. `looked` is set when a thread other than the test's has read it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looked = threading.Event()
        self._test = threading.current_thread()

    def __call__(self) -> float:
        if threading.current_thread() is not self._test:
            self.looked.set()
        return self.now


def test_events_linger_until_they_are_many_or_old() -> None:
    """Waiting items are sent together when `batch_events` wait, or when the oldest has waited for `linger`."""
    clock = Clock()
    outbox = Outbox(QueueSettings(linger=1_000, batch_events=3), clock)
    with ThreadPoolExecutor(1) as pool:
        outbox.put("s-1", event("e-1"))
        outbox.put("s-1", event("e-2"))
        taken: Future[Lane | None] = pool.submit(outbox.take)
        # `take` keeps the lock from its look at the clock until it waits, and `stats` needs the lock.
        assert clock.looked.wait(PATIENCE)
        assert outbox.stats.sent == 0
        outbox.put("s-1", event("e-3"))
        lane = taken.result(PATIENCE)
        assert lane is not None
        assert len(lane.in_flight) == 3
    outbox.put("s-2", event("e-4"))
    clock.now = 1_000.0
    assert ids(take(outbox)) == ["e-4"]


@pytest.mark.parametrize("outcome", [ACCEPTED, DUPLICATE, "INVALID_FIELD"])
def test_a_full_queue_refuses_until_something_is_settled(outcome: str) -> None:
    """The queue takes at most `max_bytes`, items in flight included."""
    one = event("e-1").ByteSize() + OVERHEAD_BYTES
    outbox = Outbox(QueueSettings(linger=0, max_bytes=2 * one))
    outbox.put("s-1", event("e-1"))
    outbox.put("s-1", event("e-2"))
    lane = take(outbox)
    with pytest.raises(QueueFullError):
        outbox.put("s-1", event("e-3"))
    assert outbox.stats.queued == 2
    settle(outbox, lane, outcome)
    outbox.put("s-1", event("e-3"))
    assert outbox.stats.waiting_bytes == one
    assert is_balanced(outbox)


def test_a_full_queue_with_overflow_drop_drops_and_counts() -> None:
    """With `drop` the newest item is dropped and counted."""
    outbox = Outbox(QueueSettings(linger=0, overflow="drop", max_bytes=OVERHEAD_BYTES + 100))
    for number in range(5):
        outbox.put("s-1", event(f"e-{number}"))
    assert ids(take(outbox)) == ["e-0"]
    assert (outbox.stats.queued, outbox.stats.dropped) == (5, 4)
    assert is_balanced(outbox)


def test_a_flush_waits_only_for_items_queued_before_it() -> None:
    """A flush ends although newer items wait, ends the lingering, and returns false if items are unsettled."""
    outbox = Outbox(QueueSettings(linger=1_000))
    assert outbox.flush(timeout=0)
    outbox.put("s-1", event("e-1"))
    assert not outbox.flush(timeout=0)
    with ThreadPoolExecutor(1) as pool:
        flushed = pool.submit(outbox.flush, PATIENCE)
        lane = take(outbox)
        outbox.put("s-2", event("e-2"))
        settle(outbox, lane)
        assert flushed.result(PATIENCE)
    assert outbox.stats.waiting == 1


@pytest.mark.parametrize("count", [0, 1, 3])
def test_outcomes_that_do_not_fit_the_items_change_nothing(count: int) -> None:
    """Too few or too many outcomes are refused as a whole, and the same call can be settled afterwards."""
    outbox = Outbox(AT_ONCE)
    outbox.put("s-1", event("e-1"))
    outbox.put("s-1", event("e-2"))
    lane = take(outbox)
    with pytest.raises(ValueError, match="outcomes for 2 items"):
        outbox.settle(lane, [ItemOutcome(ACCEPTED)] * count)
    assert outbox.stats.accepted == 0
    assert [failure.reason for failure in settle(outbox, lane, "INVALID_FIELD")] == ["INVALID_FIELD"] * 2
    assert is_balanced(outbox)


def test_every_flush_ends_when_the_last_item_is_settled() -> None:
    """Several threads may flush at the same time, and settling the last item ends every flush."""
    outbox = Outbox(AT_ONCE)
    outbox.put("s-1", event("e-1"))
    with ThreadPoolExecutor(3) as pool:
        flushes = [pool.submit(outbox.flush, 2 * PATIENCE) for _ in range(3)]
        # A flush counts itself under the lock that `settle` needs, and releases the lock when it waits.
        wait_for(lambda: outbox._flushing == 3)
        settle(outbox, take(outbox))
        assert [flush.result(PATIENCE) for flush in flushes] == [True] * 3


def test_failures_are_counted_by_reason_and_returned() -> None:
    """`settle` returns each failed item with its message, and no stored one."""
    outbox = Outbox(AT_ONCE)
    outbox.put("s-1", event("e-1"))
    outbox.put("s-1", event("e-2"))
    failures = outbox.settle(take(outbox), [ItemOutcome("INVALID_FIELD", "too long"), ItemOutcome(ACCEPTED)])
    assert failures == [Failure("s-1", event("e-1"), "INVALID_FIELD", "too long")]
    assert outbox.stats.failed == {"INVALID_FIELD": 1}
    assert is_balanced(outbox)


def test_abandoned_items_fail_once() -> None:
    """`abandon` fails every item that waits or is in flight, and a late answer changes nothing."""
    outbox = Outbox(AT_ONCE)
    outbox.put("s-1", event("e-1"))
    lane = take(outbox)
    outbox.put("s-1", event("e-2"))
    outbox.close()
    with pytest.raises(RuntimeError):
        outbox.put("s-1", event("e-3"))
    assert [failure.reason for failure in outbox.abandon()] == [CLIENT_CLOSED] * 2
    assert settle(outbox, lane) == []
    assert outbox.take() is None
    assert outbox.stats.failed == {CLIENT_CLOSED: 2}
    assert is_balanced(outbox)
