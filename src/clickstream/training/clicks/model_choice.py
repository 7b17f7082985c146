"""Chooses the click model that fits a log best, by sessions that none of them learned from (R18)."""

from collections.abc import Callable, Mapping

import numpy as np

from clickstream.domain.evaluations import ClickModelScore
from clickstream.training.clicks.click_log import Counts, Floats, Ints, Sessions
from clickstream.training.clicks.corrections import AUTO, CORRECTIONS
from clickstream.training.clicks.counting import RankCtr
from clickstream.training.clicks.labels import ShownLists, Tick, shown_lists

# The name under which the baseline is reported.
BASELINE = "baseline"

# `auto` takes the first of these that is not worse than the best beyond noise.
PREFERENCE = ("pbm", "rank_ctr", "sdbn", "none")

# How many standard errors of the mean difference per session count as noise.
NOISE = 2.0

# Predictions are clipped to this distance from 0 and 1, so that the cost of one surprise is bounded.
NEVER = 1e-4

# Places of shown lists that are scored at once; it bounds memory.
PLACES_AT_ONCE = 200_000

Predict = Callable[[ShownLists], Floats]


def choose_correction(log: Counts, held_out: Sessions, setting: str, tick: Tick) -> list[ClickModelScore]:
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
        tick: Asked again and again. What it raises passes through.

    Returns:
        The baseline, then the corrections in the order of `CORRECTIONS`; exactly one correction is marked as chosen.
    """
    predictions: dict[str, Predict] = {BASELINE: RankCtr(log).predict_by_position}
    predictions |= {name: correction(log, tick).predict for name, correction in CORRECTIONS.items()}
    held_out = held_out.take(np.flatnonzero(held_out.acts()))
    likelihoods: dict[str, list[Floats]] = {name: [] for name in predictions}
    at_once = max(1, PLACES_AT_ONCE // int(held_out.length.max(initial=1)))
    for start in range(0, len(held_out.query), at_once):
        lists = shown_lists(log, held_out.take(np.arange(start, min(start + at_once, len(held_out.query)))))
        for name, predict in predictions.items():
            tick()
            likelihoods[name].append(_log_likelihoods(predict, lists))
    per_place = {name: np.concatenate([np.zeros(0), *parts]) for name, parts in likelihoods.items()}
    session, count = held_out.session, len(held_out.query)
    per_session = {name: np.bincount(session, places, count).astype(np.float64) for name, places in per_place.items()}
    chosen = _choose(per_session) if setting == AUTO else setting
    return [
        ClickModelScore(
            name=name,
            perplexity=_perplexity(per_place[name], held_out),
            log_likelihood=float(np.mean(per_session[name])) if count else 0.0,
            chosen=name == chosen,
        )
        for name in predictions
    ]


def _log_likelihoods(predict: Predict, lists: ShownLists) -> Floats:
    """The log-likelihood of what was done at each shown place, list after list."""
    chances = _bounded(given_an_act(predict, lists))
    happened = np.where(lists.grade > 0, chances, 1 - chances)
    return np.log(happened[lists.shown])


def _bounded(chances: Floats) -> Floats:
    return np.clip(chances, NEVER, 1 - NEVER)


def given_an_act(predict: Predict, lists: ShownLists) -> Floats:
    """Predicts P(act) for each place, given what was done above it and that the session has an act; [S, P].

    Down to the first act it is P(act here) / P(act here or further down); below the first act it is the model's own
    prediction. Without this, a model that expects the missing act further down, as a cascade does, would beat the
    true one.
    """
    # Bounded, as a small log may have no act at all at these places.
    before_an_act = np.where(lists.shown, _bounded(predict(lists.without_acts())), 0.0)
    none_left = np.cumprod(1 - before_an_act[:, ::-1], axis=1)[:, ::-1]
    some_left = np.where(lists.shown, 1 - none_left, 1.0)
    acts_above: Ints = np.cumsum(lists.grade > 0, axis=1) - (lists.grade > 0)
    return np.where(acts_above == 0, before_an_act / some_left, predict(lists))


def _perplexity(per_place: Floats, sessions: Sessions) -> float:
    if not len(per_place):
        return 0.0
    _, place, showings = np.unique(sessions.position, return_inverse=True, return_counts=True)
    return float(np.mean(np.exp(-np.bincount(place, per_place) / showings)))


def _choose(per_session: Mapping[str, Floats]) -> str:
    best = per_session[max(PREFERENCE, key=lambda name: float(per_session[name].sum()))]
    for name in PREFERENCE:
        behind = best - per_session[name]
        if len(behind) < 2 or behind.mean() <= NOISE * behind.std(ddof=1) / len(behind) ** 0.5:
            return name
    raise AssertionError("the best is not behind itself")
