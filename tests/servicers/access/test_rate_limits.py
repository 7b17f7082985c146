"""Shares of callers: token buckets, and who is remembered (R23)."""

import pytest

from clickstream.domain import call_limits
from clickstream.domain.call_limits import CallLimits, OwnLimits
from clickstream.domain.errors import ResourceExhausted
from clickstream.servicers.access.rate_limits import RateLimit, Share, Shares, address_of


class Ticks:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def calls(share: Share, count: int) -> None:
    """Makes calls of 100 bytes at one moment."""
    for _ in range(count):
        share.take_call(100, 100.0)


def test_r23_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    """R23: of 10 a second with a burst of 20, 20 pass at once and 100 more within 10 s; then it fills up again."""
    bucket = RateLimit(rate=10, burst=20, now=0.0)
    assert [bucket.take(1, 0.0) for _ in range(20)] == [0.0] * 20
    assert bucket.take(1, 0.0) == pytest.approx(0.1)
    passed = [bucket.take(1, step / 100) for step in range(1, 1001)].count(0.0)
    assert passed == pytest.approx(100, abs=1)
    assert [bucket.take(1, 1000.0) for _ in range(30)].count(0.0) == 20


def test_an_amount_above_the_burst_passes_and_is_made_up_for() -> None:
    """A message larger than the whole burst passes a full bucket, and the next waits until it is paid."""
    bucket = RateLimit(rate=10, burst=20, now=0.0)
    assert bucket.take(50, 0.0) == 0.0
    assert bucket.take(1, 0.0) == pytest.approx(3.1)
    assert bucket.take(1, 3.2) == 0.0


@pytest.mark.parametrize(
    ("limits", "reason"),
    [(CallLimits(calls_per_second=1), "CALL_RATE_EXCEEDED"), (CallLimits(bytes_per_second=100), "BYTE_RATE_EXCEEDED")],
)
def test_r23_one_caller_meets_its_limit_and_no_other_does(limits: CallLimits, reason: str) -> None:
    """R23: beyond a rate a caller is refused with the time to wait; another caller is not."""
    shares = Shares(limits, Ticks())
    with pytest.raises(ResourceExhausted) as refused:
        calls(shares.of("greedy"), 10)
    assert (refused.value.reason, refused.value.subject) == (reason, "greedy")
    assert refused.value.retry_after > 0
    shares.of("other").take_call(100, 100.0)


def test_r22_refusals_of_an_address_are_limited() -> None:
    """R22: an address that sends 50 calls without a valid token at once is told to wait."""
    ticks = Ticks()
    shares = Shares(CallLimits(), ticks)
    for _ in range(50):
        shares.refuse("ipv4:10.0.0.7")
    with pytest.raises(ResourceExhausted) as refused:
        shares.refuse("ipv4:10.0.0.7")
    assert refused.value.reason == "REFUSALS_EXCEEDED"
    shares.refuse("ipv4:10.0.0.8")
    ticks.now += 1.0
    shares.refuse("ipv4:10.0.0.7")


def test_callers_that_were_quiet_longest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process remembers a bounded number of callers; one with an open stream stays."""
    monkeypatch.setattr(call_limits, "CALLERS", 3)
    shares = Shares(CallLimits(), Ticks())
    shares.of("streams").streams = 1
    kept = [shares.of(name) for name in ("a", "b", "a", "c")]
    assert shares.of("a") is kept[0]
    assert shares.of("streams").streams == 1
    assert shares.of("b") is not kept[1]


@pytest.mark.parametrize(
    ("peer", "address"),
    [("ipv4:10.0.0.7:51234", "ipv4:10.0.0.7"), ("ipv6:%5B::1%5D:50051", "ipv6:%5B::1%5D"), ("unix:", "unix"), ("", "")],
)
def test_the_address_of_a_peer(peer: str, address: str) -> None:
    """All connections from one address count together."""
    assert address_of(peer) == address


def test_r24_a_caller_can_have_limits_of_its_own_and_they_can_change() -> None:
    """R24: limits in the token file count instead of the common ones, from the next call on."""
    shares = Shares(CallLimits(streams=7), Ticks())
    share = shares.of("shop", OwnLimits(calls_per_second=1, streams=2))
    assert share.most_streams == 2
    with pytest.raises(ResourceExhausted):
        calls(share, 6)
    same = shares.of("shop", OwnLimits(calls_per_second=1, streams=2))
    with pytest.raises(ResourceExhausted):
        same.take_call(1, 100.0)
    shares.of("shop", OwnLimits(calls_per_second=50)).take_call(1, 100.0)
    assert shares.of("shop").most_streams == 7
