"""Ranking metrics at 10, and whether a difference between two models is more than noise."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

CUTOFF = 10
RESAMPLES = 10_000


def ndcg(ranking: Sequence[int], gains: Mapping[int, float]) -> float:
    """Normalised discounted cumulative gain of the first ten.

        DCG = sum over ranks r = 1..10 of gain(r) / log2(r + 1);  nDCG = DCG / DCG of the best order

    The gain is the number given: corrected grades go in as they are (they are rates, already linear in
    worth), editorial grades as 2^grade - 1.

    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002, with
    the discount of Burges et al., "Learning to rank using gradient descent", ICML 2005.

    Args:
        ranking: Items, the best first.
        gains: Every item's gain; absent = 0.

    Returns:
        0 to 1; 0 if no item has any gain.
    """
    best = _dcg(sorted(gains.values(), reverse=True))
    return _dcg([gains.get(item, 0.0) for item in ranking]) / best if best > 0 else 0.0


def reciprocal_rank(ranking: Sequence[int], gains: Mapping[int, float]) -> float:
    """1 / rank of the first item with a gain among the first ten, else 0. Its mean is MRR@10."""
    return next((1 / rank for rank, item in enumerate(ranking[:CUTOFF], 1) if gains.get(item, 0.0) > 0), 0.0)


def recall(ranking: Sequence[int], gains: Mapping[int, float]) -> float:
    """Share of the items with a gain that are among the first ten; 0 if there is none."""
    relevant = {item for item, gain in gains.items() if gain > 0}
    return len(relevant.intersection(ranking[:CUTOFF])) / len(relevant) if relevant else 0.0


def bootstrap_interval(differences: Sequence[float], seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean of paired differences (new minus base, one per query).

    Queries are drawn with replacement `RESAMPLES` times. Source: Efron and Tibshirani, "An Introduction
    to the Bootstrap", 1993; for retrieval, Sakai, "Evaluating evaluation metrics based on the bootstrap",
    SIGIR 2006.
    """
    values = np.asarray(differences, dtype=np.float64)
    random = np.random.default_rng(seed % 2**63)
    # A resample at a time: a matrix of all of them would hold RESAMPLES x queries numbers.
    means = [values[random.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _dcg(gains: Sequence[float]) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:CUTOFF], 1))
