"""The click log: counts by query, item and position, and the held-out sample of sessions."""

import pytest

from clickstream.training.clicks import click_log
from clickstream.training.clicks.click_log import HELD_OUT_SHARE, Cell, ClickLog, HeldOutSample, LoggedSession, Showing


def test_items_above_the_last_act_are_counted_as_passed() -> None:
    """Items at or above the last act count as passed; those below it do not."""
    log = ClickLog()
    log.add(LoggedSession("q", [Showing(1, 0, 0.0), Showing(2, 1, 1.0), Showing(3, 2, 2.0), Showing(4, 3, 0.0)]))
    assert log.cells["q"] == {
        1: {0: Cell(1, 0, 0.0, 1, 0)},
        2: {1: Cell(1, 1, 1.0, 1, 0)},
        3: {2: Cell(1, 1, 2.0, 1, 1)},
        4: {3: Cell(1, 0, 0.0, 0, 0)},
    }
    assert (log.sessions["q"], log.sessions_with_act["q"]) == (1, 1)


def test_a_session_without_an_act_passes_no_item() -> None:
    """It counts as a session and as a showing, and nothing else."""
    log = ClickLog()
    log.add(LoggedSession("q", [Showing(1, 0, 0.0)]))
    assert (log.sessions["q"], log.sessions_with_act["q"]) == (1, 0)
    assert log.cells["q"][1][0] == Cell(impressions=1)


def test_r17_the_held_out_sessions_are_the_same_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """R17: a session's id decides whether it is held out; every other session is returned once, to be counted."""
    monkeypatch.setattr(click_log, "HELD_OUT_SESSIONS", 50)
    sessions = {f"s-{number}": LoggedSession("q", [Showing(number, 0, 1.0)]) for number in range(1_000)}
    kept = []
    for order in (list(sessions), list(reversed(sessions))):
        held_out_sample = HeldOutSample()
        counted = [each for name in order if (each := held_out_sample.offer(name, sessions[name]))]
        assert len(counted) + len(held_out_sample.sessions) == 1_000
        kept.append({session.shown[0].item for session in held_out_sample.sessions})
        assert kept[-1].isdisjoint({session.shown[0].item for session in counted})
    assert kept[0] == kept[1]
    assert len(kept[0]) == 50


def test_a_fifth_is_held_out() -> None:
    """Of many sessions, about `HELD_OUT_SHARE` are held out."""
    held_out_sample = HeldOutSample()
    for number in range(5_000):
        held_out_sample.offer(f"s-{number}", LoggedSession("q", [Showing(1, 0, 1.0)]))
    assert len(held_out_sample.sessions) == pytest.approx(5_000 * HELD_OUT_SHARE, rel=0.1)
