"""The click log: counts by query, item and position, in memory that grows with the cells only."""

import random

import pytest
from support.simulated_log import Cell, LoggedSession, Showing, cells_of, columns, counted

from clickstream.training.clicks import click_log
from clickstream.training.clicks.click_log import ClickLog


def test_items_above_the_last_act_are_counted_as_passed() -> None:
    """Items at or above the last act count as passed; those below it do not."""
    log = counted([LoggedSession(0, [Showing(1, 0, 0.0), Showing(2, 1, 1.0), Showing(3, 2, 2.0), Showing(4, 3, 0.0)])])
    assert cells_of(log) == {
        (0, 1, 0): Cell(1, 0, 0.0, 1, 0),
        (0, 2, 1): Cell(1, 1, 1.0, 1, 0),
        (0, 3, 2): Cell(1, 1, 2.0, 1, 1),
        (0, 4, 3): Cell(1, 0, 0.0, 0, 0),
    }
    assert (log.sessions.tolist(), log.sessions_with_act.tolist()) == ([1], [1])


def test_a_session_without_an_act_passes_no_item() -> None:
    """It counts as a session and as a showing, and nothing else."""
    log = counted([LoggedSession(0, [Showing(1, 0, 0.0)])])
    assert (log.sessions.tolist(), log.sessions_with_act.tolist()) == ([1], [0])
    assert cells_of(log) == {(0, 1, 0): Cell(impressions=1)}


def test_a_session_without_results_changes_no_other_session() -> None:
    """An empty list between two others counts as a session of its query."""
    log = counted(
        [LoggedSession(0, [Showing(1, 0, 1.0)]), LoggedSession(1, []), LoggedSession(0, [Showing(1, 0, 0.0)])]
    )
    assert cells_of(log) == {(0, 1, 0): Cell(2, 1, 1.0, 1, 1)}
    assert (log.sessions.tolist(), log.sessions_with_act.tolist()) == ([2, 1], [1, 0])


@pytest.mark.parametrize("far", [1, 2**45], ids=["one sort key", "three sort keys"])
def test_any_order_and_any_parts_give_the_same_counts(far: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions that come in parts, summed up in between, count as the same sessions at once, in any order."""
    monkeypatch.setattr(click_log, "LEAST_WAITING_ROWS", 20)
    source = random.Random(1)
    made = [
        LoggedSession(
            source.randrange(5),
            [
                Showing(item * far, place, float(source.random() < 0.3))
                for place, item in enumerate(source.sample(range(9), 4))
            ],
        )
        for _ in range(200)
    ]
    log = ClickLog()
    for start in range(0, 200, 7):
        log.add(columns(made[start : start + 7]))
        assert log._waiting_rows <= max(20, len(log._cells.query))
    whole = counted(source.sample(made, 200))
    assert cells_of(log.counts()) == cells_of(whole)
    assert log.counts().sessions.tolist() == whole.sessions.tolist()


def test_a_pair_that_the_log_lacks_is_not_found() -> None:
    """Known pairs are found by query and item; an unknown query or item gives -1."""
    log = counted([LoggedSession(1, [Showing(3, 0, 1.0), Showing(5, 1, 0.0)])])
    queries, items = columns([LoggedSession(1, [])] * 3 + [LoggedSession(9, [])]).query, [5, 3, 4, 3]
    assert log.find(queries, columns([LoggedSession(0, [Showing(item, 0, 0.0) for item in items])]).item).tolist() == [
        1,
        0,
        -1,
        -1,
    ]
