import pytest

from clickstream.training.examination import PRIOR_SHOWINGS, is_unknown, propensities
from clickstream.training.position_bias import Cell


def test_a_position_is_examined_in_proportion_to_its_acts() -> None:
    """By hand: rates (60 + 20 * 0.4) / 120 and (20 + 20 * 0.4) / 120, divided by the higher."""
    log = {"q": {1: {0: Cell(100, 60, 60.0)}, 2: {1: Cell(100, 20, 20.0)}}}
    prior = PRIOR_SHOWINGS * 0.4
    assert propensities(log) == {0: 1.0, 1: pytest.approx((20 + prior) / (60 + prior))}


def test_a_rare_position_does_not_lead() -> None:
    """One act in one showing is no reason to believe that everybody looks there."""
    log = {"q": {1: {0: Cell(1000, 300, 300.0)}, 2: {9: Cell(1, 1, 1.0)}}}
    assert propensities(log)[0] > 0.85


def test_without_acts_every_position_counts_as_examined() -> None:
    """Nothing is known, so nothing is called unknown."""
    assert propensities({"q": {1: {0: Cell(5, 0, 0.0)}, 2: {7: Cell(5, 0, 0.0)}}}) == {0: 1.0, 7: 1.0}


def test_shown_often_enough_an_item_was_examined() -> None:
    """Propensity 0.1: six showings leave 0.9^6 = 0.53 that nobody looked, seven leave 0.48."""
    assert is_unknown({5: Cell(6, 0, 0.0)}, {5: 0.1})
    assert not is_unknown({5: Cell(7, 0, 0.0)}, {5: 0.1})
    assert not is_unknown({5: Cell(6, 0, 0.0), 6: Cell(1, 0, 0.0)}, {5: 0.1, 6: 0.1})


def test_what_was_acted_on_was_examined() -> None:
    """However unlikely the position."""
    assert not is_unknown({40: Cell(1, 1, 1.0)}, {40: 0.001})
