"""Corrections for position bias, from a log to labels (R18)."""

import random
from pathlib import Path

import numpy as np
import pytest
from support.simulated_log import (
    Cell,
    Label,
    LoggedSession,
    Showing,
    Truth,
    counted,
    labels_of,
    lists_of,
    log_of,
    sessions,
)

from clickstream.servicers.checks.training_settings import CHOICES
from clickstream.training.clicks.click_log import NOTHING, Counts
from clickstream.training.clicks.corrections import AUTO, CORRECTIONS
from clickstream.training.clicks.counting import MeanGrade, RankCtr
from clickstream.training.clicks.labels import MAX_RATIO, ClickModel, Labels, in_any_session
from clickstream.training.clicks.model_choice import PREFERENCE
from clickstream.training.clicks.position_based import PositionBased


def unfair_log(sessions: int, scale: float = 1.0) -> tuple[Counts, Truth]:
    """50 queries whose 8 items are shown in one fixed random order; attention halves with every position."""
    source = random.Random(5)
    cells: dict[int, dict[int, dict[int, Cell]]] = {}
    truth: Truth = {}
    for number in range(50):
        truth[number] = {item: source.random() for item in range(8)}
        cells[number] = {}
        for item in range(8):
            acts = sum(source.random() < 0.5**item * truth[number][item] for _ in range(sessions))
            cells[number][item] = {item: Cell(sessions, acts, acts * scale, sessions, 0)}
    return log_of(cells), truth


def learned(name: str, log: Counts) -> ClickModel:
    """The click model of a name, after it has learned from a log."""
    return CORRECTIONS[name](log, lambda: None)


def pairs_in_order(log: Counts, model: ClickModel, truth: Truth) -> float:
    """The share of item pairs that the targets order as the truth does."""
    labels = labels_of(log, model)
    right = total = 0
    for query, items in truth.items():
        for one in items:
            for other in items:
                if items[one] > items[other]:
                    total += 1
                    right += labels[query][one].target > labels[query][other].target
    return right / total


def test_r18_rank_ctr_finds_attraction_where_the_mean_grade_finds_position() -> None:
    """R18: with much evidence, the correction orders items far more like the truth than no correction does."""
    log, truth = unfair_log(sessions=20_000)
    assert pairs_in_order(log, RankCtr(log), truth) > 0.9
    assert pairs_in_order(log, MeanGrade(log), truth) < 0.8


@pytest.mark.parametrize("decay", [0.0, 1.0, 2.0])
def test_r18_the_position_based_model_is_right_whatever_attention_does(decay: float) -> None:
    """R18: it beats no correction where attention falls with the position, and rank-CTR where it does not."""
    seen, truth = sessions(lambda place: (place + 1) ** -decay, queries=150, per_query=200)
    log = counted(seen)
    right = {name: pairs_in_order(log, learned(name, log), truth) for name in ("none", "rank_ctr", "pbm")}
    assert right["pbm"] > right["rank_ctr"] - 0.03
    assert right["pbm"] > right["none"] - 0.02
    if decay:
        assert 1 - right["pbm"] < 0.7 * (1 - right["none"])
    else:
        assert right["pbm"] > right["rank_ctr"]


@pytest.mark.parametrize("name", ["rank_ctr", "pbm", "sdbn"])
def test_one_chance_click_far_down_does_not_beat_many_at_the_top(name: str) -> None:
    """One click in thirty showings far down gives a lower target than 24 clicks in thirty at the top."""
    rest = {n: {0: {0: Cell(100, 40, 40.0, 60, 30)}, 19: {19: Cell(100, 1, 1.0, 1, 1)}} for n in range(20)}
    log = log_of({**rest, 99: {1: {0: Cell(30, 24, 24.0, 25, 23)}, 2: {19: Cell(30, 1, 1.0, 1, 1)}}})
    labels = labels_of(log, learned(name, log))[99]
    assert labels[1].target > labels[2].target > 0


def test_r18_the_gain_does_not_lean_towards_what_was_seen_often() -> None:
    """R18: two equally good items have the same gain, though one was shown where few people look."""
    cells: dict[int, dict[int, dict[int, Cell]]] = {
        n: {1: {0: Cell(100, 40, 40.0)}, 2: {9: Cell(100, 4, 4.0)}} for n in range(20)
    }
    cells[99] = {1: {0: Cell(100, 80, 80.0)}, 2: {9: Cell(100, 8, 8.0)}, 3: {9: Cell(100, 3, 3.0)}}
    log = log_of(cells)
    labels = labels_of(log, RankCtr(log))[99]
    assert labels[1].gain == pytest.approx(labels[2].gain, rel=0.1)
    assert labels[1].gain == pytest.approx(1.0, rel=0.2)
    assert labels[3].gain == 0


def test_the_gain_is_clipped() -> None:
    """One click where clicks are rare counts as at most ten times the expected."""
    log = log_of({**{n: {1: {0: Cell(1000)}} for n in range(20)}, 99: {1: {0: Cell(1, 1, 1.0)}}})
    assert labels_of(log, RankCtr(log))[99][1].gain == MAX_RATIO - 1


def test_rank_ctr_has_no_unit() -> None:
    """A policy whose grades are all ten times as high gives the same labels."""
    one, ten = (labels_of(log, RankCtr(log)) for log, _ in (unfair_log(50), unfair_log(50, scale=10.0)))
    for query, items in one.items():
        for item, label in items.items():
            assert (ten[query][item].target, ten[query][item].gain) == pytest.approx((label.target, label.gain))


@pytest.mark.parametrize("name", CORRECTIONS)
def test_a_purchase_teaches_more_than_a_click(name: str) -> None:
    """Of two items with as many acts, the one with four times the grades has four times the target."""
    cells = {1: {0: Cell(20, 5, 5.0, 10, 3)}, 2: {0: Cell(20, 5, 20.0, 10, 3)}}
    log = log_of({99: cells})
    labels = labels_of(log, learned(name, log))[99]
    assert labels[2].target == pytest.approx(4 * labels[1].target)


@pytest.mark.parametrize("name", CORRECTIONS)
def test_more_showings_are_more_evidence(name: str) -> None:
    """A hundred times as many showings and acts are about a hundred times as much evidence."""
    cells = {1: {0: Cell(20, 4, 4.0, 10, 3)}, 2: {0: Cell(2000, 400, 400.0, 1000, 300)}}
    log = log_of({99: cells})
    labels = labels_of(log, learned(name, log))[99]
    assert labels[2].acts == pytest.approx(100 * labels[1].acts)
    assert labels[2].looks > 30 * labels[1].looks


def test_mean_grade_is_per_showing() -> None:
    """The label is the mean over the showings at all positions."""
    log = log_of({99: {7: {0: Cell(3, 1, 2.0), 4: Cell(1, 1, 1.0)}}})
    label = labels_of(log, MeanGrade(log))[99][7]
    assert (label.target, label.gain) == (0.75, 0.75)


@pytest.mark.parametrize("name", CORRECTIONS)
def test_a_log_without_acts_gives_zeros(name: str) -> None:
    """Without an act target and gain are 0, and nothing is divided by 0."""
    log = log_of({99: {1: {0: Cell(5)}}})
    label = labels_of(log, learned(name, log))[99][1]
    assert (label.target, label.gain) == (0.0, 0.0)


@pytest.mark.parametrize("name", CORRECTIONS)
def test_an_unknown_query_or_item_is_predicted_from_the_whole_log(name: str) -> None:
    """Every correction predicts a probability between 0 and 1 for a query or an item that the log lacks."""
    log = counted(sessions(lambda place: 1 / (place + 1), queries=20)[0])
    for query in (0, 999):
        lists = lists_of(log, LoggedSession(query, [Showing(99, 0, 0.0), Showing(98, 30, 0.0)]))
        assert all(0 < chance < 1 for chance in learned(name, log).predict(lists)[0])


def test_a_query_without_an_act_takes_the_share_of_sessions_with_an_act_from_the_whole_log() -> None:
    """Its own share is unknown, so the predictions are those of a query with the share of all queries together."""
    shown = [Showing(1, 0, 0.0), Showing(2, 1, 0.0)]
    log = Counts(NOTHING, np.array([10.0, 5.0]), np.array([10.0, 0.0]))
    lists = lists_of(log, *(LoggedSession(query, shown) for query in (0, 1, 2)))
    clicked, idle, unknown = in_any_session(log, lists, np.array([[0.4, 0.2]] * 3)).tolist()
    whole = Counts(NOTHING, np.array([15.0]), np.array([10.0]))
    [expected] = in_any_session(whole, lists_of(whole, LoggedSession(0, shown)), np.array([[0.4, 0.2]])).tolist()
    assert idle == unknown == expected
    assert expected != clicked


def test_the_position_based_model_counts_looks_in_sessions_that_the_log_lacks() -> None:
    """An item at the top was looked at once in each session, logged or not."""
    seen, _ = sessions(lambda place: (place + 1) ** -1.5, queries=20)
    log = counted(seen)
    model = PositionBased(log, lambda: None)
    at_top = log.pair_of_cell[log.cells.position == 0]
    estimated = model.attention.per_logged[at_top] * log.sessions
    assert model.labels().looks[at_top] == pytest.approx(estimated)
    assert estimated.sum() > 1.1 * log.sessions.sum()


def test_rank_ctr_takes_looks_as_proportional_to_acts() -> None:
    """A position with a third of the acts gets a third of the looks, and one that was rarely shown does not lead."""
    log = log_of({99: {1: {0: Cell(900, 300, 300.0)}, 2: {1: Cell(900, 100, 100.0)}, 3: {9: Cell(1, 1, 1.0)}}})
    labels = labels_of(log, RankCtr(log))[99]
    assert labels[2].looks / labels[1].looks == pytest.approx(1 / 3, rel=0.05)
    assert labels[1].looks == pytest.approx(900, rel=0.15)


def test_an_item_that_was_probably_never_examined_is_unknown() -> None:
    """An item without an act and with few looks is unknown; one with more looks or with an act is not."""
    rows = [Label(0.0, 0.0, 0.1, 0.6), Label(0.0, 0.0, 0.1, 0.7), Label(0.1, 0.0, 0.1, 0.01)]
    assert Labels(*np.array(rows).T).is_unknown.tolist() == [True, False, False]


def test_r18_every_correction_can_be_asked_for_and_chosen() -> None:
    """R18: the contract's checks, the preference of `auto` and the page name the same corrections."""
    assert set(CHOICES["position_bias"]) == {AUTO, *CORRECTIONS}
    assert set(PREFERENCE) == set(CORRECTIONS)
    page = (Path(__file__).parents[3] / "docs" / "training.md").read_text("utf-8")
    assert [name for name in CHOICES["position_bias"] if f"\n| `{name}`" not in page] == []
