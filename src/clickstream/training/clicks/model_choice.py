"""Which click model fits a log best, by sessions that it did not learn from (R18)."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from clickstream.domain.evaluations import ClickModelScore
from clickstream.training.clicks.click_log import ClickLog, Session
from clickstream.training.clicks.corrections import AUTO, CORRECTIONS
from clickstream.training.clicks.counting import RankCtr

BASELINE = "baseline"
PREFERENCE = ("pbm", "rank_ctr", "sdbn", "none")
"""`auto` takes the first of these that is not worse than the best beyond noise."""

NOISE = 2.0
"""Standard errors of the mean difference per session."""

NEVER = 1e-4
"""No act is predicted as less likely, or more likely than 1 minus this: one surprise would count without bound."""

Predict = Callable[[Session], list[float]]


def compare(log: ClickLog, held_out: Sequence[Session], setting: str) -> list[ClickModelScore]:
    """Scores every correction, and the baseline, by sessions that `log` does not hold.

    Only sessions with an act count, as others may be missing from the log. The log-likelihood is that of what was
    done at each place given what was done above it and that there was an act (`given_an_act`); in nats, mean
    per session. The
    perplexity of a position is 2^(-mean log2 P(what happened there)), by the same P, 1 at best and 2 for a
    coin, and the perplexity given is the mean over the positions. The baseline predicts each position's acts
    per showing (rank-based CTR), whatever the query and the item. Source: Chuklin, Markov and de Rijke,
    "Click Models for Web Search", 2015, sections 3.1 and 5.1.

    Args:
        log: What the models learn from.
        held_out: Where none has an act nothing is known, and every score is 0.
        setting: A correction, or `auto`, which chooses by `PREFERENCE`.

    Returns:
        The baseline, then the corrections in their order; one of these is chosen.
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


def _log_likelihoods(predict: Predict, session: Session) -> list[float]:
    return [
        math.log(chance if showing.grade > 0 else 1 - chance)
        for chance, showing in zip(_bounded(given_an_act(predict, session)), session.shown, strict=True)
    ]


def _bounded(chances: Sequence[float]) -> list[float]:
    return [min(max(chance, NEVER), 1 - NEVER) for chance in chances]


def given_an_act(predict: Predict, session: Session) -> list[float]:
    """P(act) of each place given what was done above it, and that something is done somewhere.

    As long as there was no act, it is P(act here) / P(act here or further down); after that it is as it was.
    Without this a model that expects the missing act further down, as a cascade does, would beat the true one.
    """
    chances = predict(session)
    # Bounded, as a small log may hold no act at all at these places: there was one here all the same.
    in_vain = _bounded(predict(Session(session.query, [showing._replace(grade=0.0) for showing in session.shown])))
    first = next((place for place, showing in enumerate(session.shown) if showing.grade > 0), len(chances))
    none_left = 1.0
    for place in reversed(range(len(chances))):
        none_left *= 1 - in_vain[place]
        if place <= first:
            chances[place] = in_vain[place] / (1 - none_left)
    return chances


def _perplexity(likelihoods: Sequence[Sequence[float]], sessions: Sequence[Session]) -> float:
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
