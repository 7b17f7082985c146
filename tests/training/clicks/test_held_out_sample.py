"""The held-out sample of sessions, by which click models are compared."""

import pytest
from support.simulated_log import LoggedSession, Showing, columns, draws

from clickstream.training.clicks import held_out_sample as module
from clickstream.training.clicks.held_out_sample import HELD_OUT_SHARE, HeldOutSample


def test_r17_the_held_out_sessions_are_the_same_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """R17: a session's id decides whether it is held out; every other session is returned once, to be counted."""
    monkeypatch.setattr(module, "HELD_OUT_SESSIONS", 50)
    numbers = list(range(1_000))
    kept = []
    for order in (numbers, numbers[::-1]):
        sample, counted = HeldOutSample(), []
        for start in range(0, 1_000, 90):
            part = order[start : start + 90]
            sessions = columns([LoggedSession(0, [Showing(number, 0, 1.0)]) for number in part])
            counted += sample.offer(draws([f"s-{number}" for number in part]), sessions)[1].item.tolist()
        kept.append(sample.sessions.item.tolist())
        assert sorted(counted + kept[-1]) == numbers
    assert kept[0] == kept[1]
    assert len(kept[0]) == 50


def test_a_fifth_is_held_out() -> None:
    """Of many sessions, about `HELD_OUT_SHARE` are held out."""
    sample = HeldOutSample()
    sample.offer(draws([f"s-{number}" for number in range(5_000)]), columns([LoggedSession(0, [])] * 5_000))
    assert len(sample.sessions.query) == pytest.approx(5_000 * HELD_OUT_SHARE, rel=0.1)
