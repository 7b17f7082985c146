"""Click models are compared by sessions that they did not learn from (R18)."""

import math

import pytest
from simulated_log import held_apart, sessions

from clickstream.training.click_log import ClickLog, Session, Showing
from clickstream.training.click_models import BASELINE, compare
from clickstream.training.position_bias import CORRECTIONS


def test_r18_every_correction_is_scored_beside_the_baseline() -> None:
    """R18: one of them is chosen, and those that know the items predict better than positions alone."""
    seen, _ = sessions(lambda place: 1 / (place + 1))
    scores = compare(*held_apart(seen), "rank_ctr")
    assert [score.name for score in scores] == [BASELINE, *CORRECTIONS]
    assert [score.name for score in scores if score.chosen] == ["rank_ctr"]
    by_name = {score.name: score for score in scores}
    assert by_name["pbm"].log_likelihood > by_name[BASELINE].log_likelihood
    assert 1 < by_name["pbm"].perplexity < by_name[BASELINE].perplexity < 2


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_r18_auto_finds_the_position_based_log(decay: float) -> None:
    """R18: `auto` takes the model that made the log."""
    seen, _ = sessions(lambda place: (place + 1) ** -decay, per_query=100)
    assert [score.name for score in compare(*held_apart(seen), "auto") if score.chosen] == ["pbm"]


def test_r18_auto_finds_the_cascade() -> None:
    """R18: where people go down the list and stop at the first item that they like, `auto` says so."""
    seen, _ = sessions(lambda place: 1.0, queries=150, per_query=100)
    cascades = []
    for session in seen:
        first = next(place for place, showing in enumerate(session.shown) if showing.grade)
        shown = [showing._replace(grade=float(place == first)) for place, showing in enumerate(session.shown)]
        cascades.append(Session(session.query, shown))
    assert [score.name for score in compare(*held_apart(cascades), "auto") if score.chosen] == ["sdbn"]


def test_without_held_out_sessions_nothing_is_known() -> None:
    """The scores are 0, and `auto` still chooses."""
    log = ClickLog()
    log.add(Session("q", [Showing(1, 0, 1.0)]))
    scores = compare(log, [], "auto")
    assert {(score.perplexity, score.log_likelihood) for score in scores} == {(0.0, 0.0)}
    assert [score.name for score in scores if score.chosen] == ["pbm"]


def test_the_numbers_are_those_of_the_formula() -> None:
    """The baseline that gives half of the showings an act has perplexity 2, and log(1/2) per place."""
    log = ClickLog()
    log.add(Session("q", [Showing(1, 0, 1.0)]))
    log.add(Session("q", [Showing(1, 0, 0.0)]))
    baseline = compare(log, [Session("q", [Showing(1, 0, 1.0)])], "none")[0]
    assert baseline.perplexity == pytest.approx(2.0)
    assert baseline.log_likelihood == pytest.approx(math.log(0.5))
