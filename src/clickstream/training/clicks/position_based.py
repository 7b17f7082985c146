"""The position-based click model, learned by EM from the log itself."""

from typing import NamedTuple

import numpy as np
from typing_extensions import override

from clickstream.training.clicks.click_log import Counts, Floats, Ints
from clickstream.training.clicks.em_blocks import LEVELS, Block, RoundSums, blocks_of
from clickstream.training.clicks.labels import PRIOR_LOOKS, ClickModel, Labels, ShownLists, Tick, gain_of

# Pseudo-items at the log's mean mix of levels, added to each group of positions.
PSEUDO_ITEMS = 10.0

# EM starts at each of these, and the likelier result is taken: lists that never change have several optima.
FIRST_DECAYS = (1.0, 2.0)

# EM runs for more than the first number of rounds and at most the second, until the decay moves less than the third.
MIN_ROUNDS = 30
MAX_ROUNDS = 200
TOLERANCE = 1e-4

MAX_DECAY = 3.0


class Attention(NamedTuple):
    """How attention falls, P(examined at k) = (k + 1)^-decay, and how attractive each item of a query is.

    `attraction` [N] is the mean attraction of each pair of a query and an item. `per_logged` [N] is the estimated
    number of sessions of the pair's query, with those that are missing from the log, per logged session.
    """

    decay: float
    attraction: Floats
    per_logged: Floats

    def examined(self, positions: Ints) -> Floats:
        """The probability that each position, counted from 0, is examined; 1 at the top."""
        return _examined(np.log(positions + 1.0), self.decay)


def _examined(rank: Floats, decay: float) -> Floats:
    examined: Floats = np.exp(-decay * rank)
    return examined


def learn_attention(log: Counts, tick: Tick) -> Attention:
    """Learns by expectation maximisation (EM) how attention falls with the position and how attractive each item is.

        P(act on d at k for q) = (k + 1)^-decay * attraction(q, d)

    Where a query always shows the same list, examination and attraction of its items are only known as
    their product. What tells them apart is what all queries have in common: an item's attraction is one of
    `LEVELS` levels, the same for all queries and positions, while their mix may differ from position to
    position (the ranking that made the lists puts better items higher). The same level then gets fewer acts
    further down, and that is attention. The power law has one number to learn; a free curve would have one
    per position, for which such logs have too few acts.

    Sessions without an act may be missing from the log, all of them or some: without events a session gives no
    training input. The missing ones are counted in for each query, as EM does for truncated data: there were
    (sessions with an act) / (1 - P(no act)) sessions, and at least as many as the log has.

    Source: the position-based model and its EM in Chuklin, Markov and de Rijke, "Click Models for Web
    Search", 2015, sections 3.3 and 4.3; the power law of Joachims, Swaminathan and Schnabel, "Unbiased
    learning-to-rank with biased feedback", WSDM 2017; attraction from what is shared by queries as in Wang
    et al., "Position bias estimation for unbiased learning to rank in personal search", WSDM 2018, here by
    a mixture; truncated data in Dempster, Laird and Rubin, "Maximum likelihood from incomplete data
    via the EM algorithm", JRSS B 1977, section 4.2.

    Args:
        log: The log to learn from.
        tick: Asked with every block of items in every round. What it raises passes through.
    """
    if not len(log.cells.query):
        return Attention(0.0, np.zeros(0), np.zeros(0))
    positions, place = log.positions
    blocks = blocks_of(log)
    rank, acts = np.log(positions + 1.0), np.bincount(place, log.cells.acts, len(positions)).astype(np.float64)
    fits = (_fit(blocks, rank, acts, decay, tick) for decay in FIRST_DECAYS)
    best = max(fits, key=lambda fit: fit.likelihood)
    return Attention(best.decay, best.attraction, best.per_logged)


class _Fit(NamedTuple):
    """Where EM ended: decay, attraction [N] and sessions per logged session [N] by pair, and the log-likelihood."""

    decay: float
    attraction: Floats
    per_logged: Floats
    likelihood: float


def _fit(blocks: list[Block], rank: Floats, acts: Floats, decay: float, tick: Tick) -> _Fit:
    """Runs EM from a first decay.

    Args:
        blocks: The log.
        rank: log(position + 1) of each distinct position, [P].
        acts: The acts at each of them, [P].
        decay: The first decay.
        tick: Asked with every block.
    """
    group_sizes = np.sum([block.group_sizes for block in blocks], axis=0)[:, None]
    levels, mix = np.geomspace(0.04, 0.9, LEVELS), np.full((len(group_sizes), LEVELS), 1 / LEVELS)
    for block in blocks:
        block.start()
    for done in range(MAX_ROUNDS):
        examined = _examined(rank, decay)
        chance = np.clip(examined[:, None] * levels, 1e-9, 1 - 1e-6)
        passed = np.log1p(-chance)
        logs = np.concatenate([passed, np.log(chance) - passed, np.log(mix)])
        sums = [_asked(block, logs, examined, levels, tick) for block in blocks]
        looked, of_groups = (np.sum(parts, axis=0) for parts in zip(*(each[:2] for each in sums), strict=True))
        levels = np.clip(np.sum([each.acted for each in sums], axis=0) / np.maximum(examined @ looked, 1e-9), 1e-3, 1.0)
        before, decay = decay, _decay(rank, acts, looked @ levels, decay)
        mix = (of_groups + PSEUDO_ITEMS * of_groups.sum(axis=0) / group_sizes.sum()) / (group_sizes + PSEUDO_ITEMS)
        if done > MIN_ROUNDS and abs(decay - before) < TOLERANCE:
            break
    return _Fit(
        decay,
        np.concatenate([each.shares @ levels for each in sums]),
        np.concatenate([each.per_logged[block.query_of_pair] for each, block in zip(sums, blocks, strict=True)]),
        sum(each.likelihood for each in sums),
    )


def _asked(block: Block, logs: Floats, examined: Floats, levels: Floats, tick: Tick) -> RoundSums:
    tick()
    return block.round(logs, examined, levels)


def _decay(rank: Floats, acts: Floats, expected: Floats, decay: float) -> float:
    """M step by Newton's method: the acts at each position are Poisson with mean `expected` * (k + 1)^-decay."""
    for _ in range(3):
        mean = expected * np.exp(-decay * rank)
        slope = float((rank * (mean - acts)).sum())
        curve = float((rank**2 * mean).sum())
        if curve <= 0:
            break
        decay = min(max(decay + slope / curve, 0.0), MAX_DECAY)
    return decay


class PositionBased(ClickModel):
    """The position-based model: an act needs that the position is examined and that the item attracts.

        looks(q, d)  = sum over the showings of d for q of P(examined at its position)
        target(q, d) = sum of grades(q, d) / (looks(q, d) + PRIOR_LOOKS)
        gain(q, d)   = min(ratio, MAX_RATIO) - 1, at least 0, with ratio = grades per look over that of the log

    `learn_attention` learns P(examined), and names its assumptions and sources. The prior bounds how much one act can
    count (clipped inverse propensity).
    """

    def __init__(self, log: Counts, tick: Tick) -> None:
        self._log = log
        self.attention = learn_attention(log, tick)

    @override
    def labels(self) -> Labels:
        positions, place = self._log.positions
        examined = self._log.cells.impressions * self.attention.examined(positions)[place]
        looks = self.attention.per_logged * self._log.per_pair(examined)
        grades = self._log.pairs.grades
        return Labels(
            target=grades / (looks + PRIOR_LOOKS),
            gain=gain_of(grades, looks * float(grades.sum() / max(looks.sum(), 1e-9))),
            acts=grades / self._log.mean_grade,
            looks=looks,
        )

    @override
    def predict(self, lists: ShownLists) -> Floats:
        attraction = lists.of_pairs(self.attention.attraction, self._log.act_rate)
        return self.attention.examined(lists.position) * attraction
