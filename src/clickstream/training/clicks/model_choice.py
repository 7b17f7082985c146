"""Chooses the click model that fits a log best, by sessions that none of them learned from (R18)."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from clickstream.domain.evaluations import ClickModelScore
from clickstream.training.clicks.click_log import ClickLog, LoggedSession
from clickstream.training.clicks.corrections import AUTO, CORRECTIONS
from clickstream.training.clicks.counting import RankCtr

# The name under which the baseline is reported.
BASELINE = "baseline"

# `auto` takes the first of these that is not worse than the best beyond noise.
PREFERENCE = ("pbm", "rank_ctr", "sdbn", "none")

# How many standard errors of the mean difference per session count as noise.
NOISE = 2.0

# Predictions are clipped to this distance from 0 and 1, so that the cost of one surprise is bounded.
NEVER = 1e-4

Predict = Callable[[LoggedSession], list[float]]


def choose_correction(log: ClickLog, held_out: Sequence[LoggedSession], setting: str) -> list[ClickModelScore]:
    """Scores every correction, and the baseline, by sessions that are not in `log`, and chooses one correction.

    Only sessions with an act count, as others may be missing from the log. The log-likelihood is that of what was
    done at each place, given what was done above it and that there was an act (`given_an_act`); it is the mean per
    session, in nats. The perplexity of a position is 2^(-mean log2 P(what happened there)), by the same P: 1 at
    best, 2 for a coin. The reported perplexity is the mean over the positions. The baseline predicts each
    position's acts per showing (rank-based CTR), whatever the query and the item. Source: Chuklin, Markov and
    de Rijke, "Click Models for Web Search", 2015, sections 3.1 and 5.1.

    Args:
        log: The log from which the models learn.
        held_out: The sessions by which they are scored. If none has an act, every score is 0.
        setting: The name of a correction, or `auto`, which chooses by `PREFERENCE`.

    Returns:
        The baseline, then the corrections in the order of `CORRECTIONS`; exactly one correction is marked as chosen.
    """
    predictions: dict[str, Predict] = {BASELINE: RankCtr(log).predict_by_position}
    predictions |= {name: correction(log).predict for name, correction in CORRECTIONS.items()}
    held_out = [session for session in held_out if any(showing.grade > 0 for showing in session.shown)]
    likelihoods = {
        name: [_log_likelihoods(predict, each) for each in held_out] for name, predict in predictions.items()
    }
    per_session = {name: [sum(places) for places in sessions] for name, sessions in likelihoods.items()}
    chosen = _choose(per_session) if setting == AUTO else setting
    return [
        ClickModelScore(
            name=name,
            perplexity=_perplexity(likelihoods[name], held_out),
            log_likelihood=float(np.mean(per_session[name])) if held_out else 0.0,
            chosen=name == chosen,
        )
        for name in predictions
    ]


def _log_likelihoods(predict: Predict, session: LoggedSession) -> list[float]:
    return [
        math.log(chance if showing.grade > 0 else 1 - chance)
        for chance, showing in zip(_bounded(given_an_act(predict, session)), session.shown, strict=True)
    ]


def _bounded(chances: Sequence[float]) -> list[float]:
    return [min(max(chance, NEVER), 1 - NEVER) for chance in chances]


def given_an_act(predict: Predict, session: LoggedSession) -> list[float]:
    """Predicts P(act) for each place, given what was done above it and that the session has an act.

    Down to the first act it is P(act here) / P(act here or further down); below the first act it is the model's own
    prediction. Without this, a model that expects the missing act further down, as a cascade does, would beat the
    true one.
    """
    chances = predict(session)
    # Bounded, as a small log may have no act at all at these places.
    without_act = session._replace(shown=[showing._replace(grade=0.0) for showing in session.shown])
    before_an_act = _bounded(predict(without_act))
    first = next((place for place, showing in enumerate(session.shown) if showing.grade > 0), len(chances))
    none_left = 1.0
    for place in reversed(range(len(chances))):
        none_left *= 1 - before_an_act[place]
        if place <= first:
            chances[place] = before_an_act[place] / (1 - none_left)
    return chances


def _perplexity(likelihoods: Sequence[Sequence[float]], sessions: Sequence[LoggedSession]) -> float:
    by_position: dict[int, list[float]] = {}
    for places, session in zip(likelihoods, sessions, strict=True):
        for place, showing in zip(places, session.shown, strict=True):
            by_position.setdefault(showing.position, []).append(place)
    return float(np.mean([math.exp(-np.mean(places)) for places in by_position.values()])) if by_position else 0.0


def _choose(per_session: dict[str, list[float]]) -> str:
    best = np.array(max((per_session[name] for name in PREFERENCE), key=sum))
    for name in PREFERENCE:
        behind = best - np.array(per_session[name])
        if len(behind) < 2 or behind.mean() <= NOISE * behind.std(ddof=1) / len(behind) ** 0.5:
            return name
    raise AssertionError("the best is not behind itself")
