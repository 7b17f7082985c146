"""Corrections are scored by sessions that they did not learn from, and one is chosen (R18)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.simulated_log import LoggedSession, Showing, columns, counted, has_act, lists_of, sessions, split_log

from clickstream.domain.evaluations import ClickModelScore
from clickstream.training.clicks.click_log import Counts, Sessions
from clickstream.training.clicks.corrections import CORRECTIONS
from clickstream.training.clicks.model_choice import BASELINE, given_an_act
from clickstream.training.clicks.model_choice import choose_correction as choose


def choose_correction(log: Counts, held_out: Sessions, setting: str) -> list[ClickModelScore]:
    """The scores, of a run that nobody cancels."""
    return choose(log, held_out, setting, lambda: None)


def test_r18_every_correction_is_scored_beside_the_baseline() -> None:
    """R18: one of them is chosen, and a model that knows the items predicts better than positions alone."""
    seen, _ = sessions(lambda place: 1 / (place + 1))
    scores = choose_correction(*split_log(seen), "rank_ctr")
    assert [score.name for score in scores] == [BASELINE, *CORRECTIONS]
    assert [score.name for score in scores if score.chosen] == ["rank_ctr"]
    by_name = {score.name: score for score in scores}
    assert by_name["pbm"].log_likelihood > by_name[BASELINE].log_likelihood
    assert 1 < by_name["pbm"].perplexity < by_name[BASELINE].perplexity < 2


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_r18_auto_finds_the_position_based_log(decay: float) -> None:
    """R18: `auto` chooses the model that made the log."""
    seen, _ = sessions(lambda place: (place + 1) ** -decay, per_query=100)
    assert [score.name for score in choose_correction(*split_log(seen), "auto") if score.chosen] == ["pbm"]


@pytest.mark.parametrize("shuffled", [False, True])
def test_r18_a_cascade_does_not_win_by_expecting_the_one_act(shuffled: bool) -> None:
    """R18: where few sessions have an act and only those are logged, `auto` chooses the model that made it."""
    seen, _ = sessions(lambda place: 0.4 / (place + 1), queries=100, per_query=100, shuffled=shuffled)
    by_name = {score.name: score for score in choose_correction(*split_log(seen), "auto")}
    assert by_name["pbm"].chosen
    assert by_name["pbm"].log_likelihood > by_name["sdbn"].log_likelihood


@pytest.mark.parametrize("logged", [1, 100, 10_000])
def test_r18_a_few_logged_sessions_without_an_act_change_nothing(logged: int) -> None:
    """R18: with one, some or all of the sessions without an act logged, `auto` chooses the model that made the log."""
    made, _ = sessions(lambda place: 0.4 / (place + 1), queries=100, per_query=100, with_act=False)
    idle = [session for session in made if not has_act(session)][:logged]
    assert len(idle) >= min(logged, 2_000)
    scores = choose_correction(*split_log([*filter(has_act, made), *idle]), "auto")
    assert [score.name for score in scores if score.chosen] == ["pbm"]


def test_the_chances_are_those_given_an_act() -> None:
    """Two places with probability 1/2 each and at least one act: 2/3 at the first, and 1 at the second after none."""
    log = counted([])
    lists = lists_of(
        log,
        LoggedSession(0, [Showing(1, 0, 0.0), Showing(2, 1, 1.0)]),
        LoggedSession(0, [Showing(1, 0, 1.0), Showing(2, 1, 0.0)]),
        LoggedSession(0, [Showing(1, 0, 1.0)]),
    )
    none, one, single = given_an_act(lambda of: np.full(of.grade.shape, 0.5), lists)
    assert none == pytest.approx([2 / 3, 1.0])
    assert one == pytest.approx([2 / 3, 0.5])
    assert single[0] == pytest.approx(1.0)


SMALL = st.lists(
    st.builds(
        lambda query, grades: LoggedSession(
            query, [Showing(place, place, grade) for place, grade in enumerate(grades)]
        ),
        st.sampled_from([0, 1]),
        st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=1, max_size=4),
    ),
    max_size=4,
)


@given(SMALL, SMALL)
def test_r18_the_smallest_logs_are_scored(learned: list[LoggedSession], held_out: list[LoggedSession]) -> None:
    """R18: for any few sessions to learn from and to score by, with acts or without, every score is a number."""
    scores = choose_correction(counted(learned), columns(held_out), "auto")
    assert sum(score.chosen for score in scores) == 1
    assert all(math.isfinite(score.log_likelihood) and math.isfinite(score.perplexity) for score in scores)


def test_r18_auto_finds_the_cascade() -> None:
    """R18: where people go down changing lists and stop at the first item that they like, `auto` chooses the cascade.

    In lists that never change, with one act each, every model predicts each item's share of the acts equally well.
    """
    seen, _ = sessions(lambda place: 1.0, queries=150, per_query=20, shuffled=True)
    cascades = []
    for session in seen:
        first = next(place for place, showing in enumerate(session.shown) if showing.grade)
        shown = [showing._replace(grade=float(place == first)) for place, showing in enumerate(session.shown)]
        cascades.append(LoggedSession(session.query, shown))
    assert [score.name for score in choose_correction(*split_log(cascades), "auto") if score.chosen] == ["sdbn"]


def test_without_held_out_sessions_auto_still_chooses() -> None:
    """All scores are 0, and the first preference is chosen."""
    scores = choose_correction(counted([LoggedSession(0, [Showing(1, 0, 1.0)])]), columns([]), "auto")
    assert {(score.perplexity, score.log_likelihood) for score in scores} == {(0.0, 0.0)}
    assert [score.name for score in scores if score.chosen] == ["pbm"]


def test_the_numbers_are_those_of_the_formula() -> None:
    """Where half of the showings have an act, the baseline has perplexity 2 and log-likelihood log(1/2)."""
    both = LoggedSession(0, [Showing(1, 0, 1.0), Showing(2, 1, 1.0)])
    log = counted([LoggedSession(0, [Showing(1, 0, 1.0), Showing(2, 1, 0.0)]), both])
    baseline = choose_correction(log, columns([both]), "none")[0]
    assert baseline.log_likelihood == pytest.approx(math.log(0.5), abs=1e-3)  # the act at the first place is certain
    assert baseline.perplexity == pytest.approx((1 + 2) / 2, abs=1e-3)
