import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from support.builders import event, session, struct
from support.serving import wait_for

from clickstream.client.outbox import (
    ACCEPTED,
    CALL_BYTES,
    CLIENT_CLOSED,
    DUPLICATE,
    OVERHEAD_BYTES,
    Failure,
    Lane,
    Outbox,
    QueueFullError,
    Verdict,
)
from clickstream.client.queue_settings import QueueSettings

AT_ONCE = QueueSettings(linger=0)
PATIENCE = 20


def take(outbox: Outbox) -> Lane:
    """The next lane, which must be due."""
    lane = outbox.take()
    assert lane is not None
    return lane


def ids(lane: Lane) -> list[str]:
    """What a lane has in flight, by id."""
    messages = [item.message for item in lane.in_flight]
    return [getattr(message, "event_id", "") or message.session_id for message in messages]


def settle(outbox: Outbox, lane: Lane, outcome: str = ACCEPTED) -> list[Failure]:
    """Gives everything in flight the same outcome."""
    return outbox.settle(lane, [(outcome, "because")] * len(lane.in_flight))


def is_balanced(outbox: Outbox) -> bool:
    """Whether the counters account for everything that was queued."""
    stats = outbox.stats
    ended = stats.accepted + stats.duplicate + sum(stats.failed.values()) + stats.dropped
    return stats.queued == ended + stats.waiting


def test_no_event_overtakes_its_session() -> None:
    """A session goes out alone, and its events only once it is settled; other sessions do not wait for it."""
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
    """What was queued together is taken apart: the session, then its events."""
    outbox = Outbox(AT_ONCE)
    outbox.put("s-1", session("s-1"))
    outbox.put("s-1", event("e-1"))
    lane = take(outbox)
    assert ids(lane) == ["s-1"]
    settle(outbox, lane)
    assert ids(take(outbox)) == ["e-1"]


def test_events_that_were_queued_before_their_session_go_out_without_it() -> None:
    """A call carries events only, also where the session was queued after them: it goes out next."""
    outbox = Outbox(AT_ONCE)
    outbox.put("s-1", event("e-1"))
    outbox.put("s-1", session("s-1"))
    lane = take(outbox)
    assert ids(lane) == ["e-1"]
    settle(outbox, lane)
    assert ids(take(outbox)) == ["s-1"]


def test_a_settled_call_is_over() -> None:
    """Closing fails what still waits, and no item whose call was settled before."""
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


def test_a_call_carries_a_thousand_events_at_most() -> None:
    """R7: a lane's events are split into calls within the contract's bound."""
    outbox = Outbox(AT_ONCE)
    for number in range(1_001):
        outbox.put("s-1", event(f"e-{number}"))
    lane = take(outbox)
    assert len(lane.in_flight) == 1_000
    settle(outbox, lane)
    assert ids(take(outbox)) == ["e-1000"]


def test_a_call_stays_below_its_bytes() -> None:
    """Large events are split into calls of a MiB, and one that is larger by itself goes alone."""
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
    """A time that a test sets; `looked` says that another thread than the test's has asked for it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looked = threading.Event()
        self._test = threading.current_thread()

    def __call__(self) -> float:
        if threading.current_thread() is not self._test:
            self.looked.set()
        return self.now


def test_events_linger_until_they_are_many_or_old() -> None:
    """What waits goes out together: once enough wait, or once the oldest has waited long enough."""
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
    """The queue holds no more bytes than told, what is in flight included."""
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


def test_a_full_queue_drops_and_counts_if_told_to() -> None:
    """With `drop` the newest item goes, and the counter says so."""
    outbox = Outbox(QueueSettings(linger=0, overflow="drop", max_bytes=OVERHEAD_BYTES + 100))
    for number in range(5):
        outbox.put("s-1", event(f"e-{number}"))
    assert ids(take(outbox)) == ["e-0"]
    assert (outbox.stats.queued, outbox.stats.dropped) == (5, 4)
    assert is_balanced(outbox)


def test_a_flush_waits_for_what_was_queued_before_it_only() -> None:
    """A flush ends although newer items wait, makes nothing linger, and says when it did not succeed."""
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


@pytest.mark.parametrize("verdicts", [[], [(ACCEPTED, "")], [(ACCEPTED, "")] * 3])
def test_verdicts_that_do_not_fit_the_items_change_nothing(verdicts: list[Verdict]) -> None:
    """Too few or too many verdicts are refused as a whole, and the same call can be settled afterwards."""
    outbox = Outbox(AT_ONCE)
    outbox.put("s-1", event("e-1"))
    outbox.put("s-1", event("e-2"))
    lane = take(outbox)
    with pytest.raises(ValueError, match="verdicts on 2 items"):
        outbox.settle(lane, verdicts)
    assert outbox.stats.accepted == 0
    assert [failure.reason for failure in settle(outbox, lane, "INVALID_FIELD")] == ["INVALID_FIELD"] * 2
    assert is_balanced(outbox)


def test_every_flush_ends_when_the_last_item_is_settled() -> None:
    """Several threads may flush at the same time, and the settled item ends all of their flushes."""
    outbox = Outbox(AT_ONCE)
    outbox.put("s-1", event("e-1"))
    with ThreadPoolExecutor(3) as pool:
        flushes = [pool.submit(outbox.flush, 2 * PATIENCE) for _ in range(3)]
        # A flush counts itself with the lock that `settle` needs, and gives the lock back when it waits.
        wait_for(lambda: outbox._flushing == 3)
        settle(outbox, take(outbox))
        assert [flush.result(PATIENCE) for flush in flushes] == [True] * 3


def test_failures_are_counted_by_reason_and_returned() -> None:
    """Each failed item comes back with its message, and the good ones beside it do not."""
    outbox = Outbox(AT_ONCE)
    outbox.put("s-1", event("e-1"))
    outbox.put("s-1", event("e-2"))
    failures = outbox.settle(take(outbox), [("INVALID_FIELD", "too long"), (ACCEPTED, "")])
    assert failures == [Failure("s-1", event("e-1"), "INVALID_FIELD", "too long")]
    assert outbox.stats.failed == {"INVALID_FIELD": 1}
    assert is_balanced(outbox)


def test_what_is_abandoned_is_failed_once() -> None:
    """Closing accounts for all that waits or is in flight, and a late answer changes nothing."""
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
