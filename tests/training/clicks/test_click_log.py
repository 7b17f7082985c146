"""The click log: counts by query, item and position, and the sessions that are held apart."""

import pytest

from clickstream.training.clicks import click_log
from clickstream.training.clicks.click_log import HELD_OUT_SHARE, Cell, ClickLog, Sampler, Session, Showing


def test_counts_know_what_lay_above_the_last_act() -> None:
    """Items above the last act were passed; below it nobody need have looked."""
    log = ClickLog()
    log.add(Session("q", [Showing(1, 0, 0.0), Showing(2, 1, 1.0), Showing(3, 2, 2.0), Showing(4, 3, 0.0)]))
    assert log.cells["q"] == {
        1: {0: Cell(1, 0, 0.0, 1, 0)},
        2: {1: Cell(1, 1, 1.0, 1, 0)},
        3: {2: Cell(1, 1, 2.0, 1, 1)},
        4: {3: Cell(1, 0, 0.0, 0, 0)},
    }
    assert (log.sessions["q"], log.sessions_with_act["q"]) == (1, 1)


def test_a_session_without_an_act_is_idle() -> None:
    """Nothing of it was passed."""
    log = ClickLog()
    log.add(Session("q", [Showing(1, 0, 0.0)]))
    assert (log.sessions["q"], log.sessions_with_act["q"]) == (1, 0)
    assert log.cells["q"][1][0] == Cell(impressions=1)


def test_the_held_out_sessions_are_the_same_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """R17: which sessions are held apart is decided by their ids; what is not kept is given back, once."""
    monkeypatch.setattr(click_log, "HELD_OUT_SESSIONS", 50)
    sessions = {f"s-{number}": Session("q", [Showing(number, 0, 1.0)]) for number in range(1_000)}
    kept = []
    for order in (list(sessions), list(reversed(sessions))):
        sampler = Sampler()
        given_back = [each for name in order if (each := sampler.offer(name, sessions[name]))]
        assert len(given_back) + len(sampler.sessions) == 1_000
        kept.append({session.shown[0].item for session in sampler.sessions})
        assert kept[-1].isdisjoint({session.shown[0].item for session in given_back})
    assert kept[0] == kept[1]
    assert len(kept[0]) == 50


def test_a_fifth_is_held_apart() -> None:
    """Of many sessions, about the stated share."""
    sampler = Sampler()
    for number in range(5_000):
        sampler.offer(f"s-{number}", Session("q", [Showing(1, 0, 1.0)]))
    assert len(sampler.sessions) == pytest.approx(5_000 * HELD_OUT_SHARE, rel=0.1)
