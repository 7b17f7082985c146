"""Ranking metrics, and whether a difference between two models is more than noise."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clickstream.training.asking import may_go_on

# The ranks that nDCG@10, MRR@10 and Recall@10 look at, and those of Recall@100.
CUTOFF = 10
DEEP_CUTOFF = 100

RESAMPLES = 10_000
LEAST_RESAMPLES = 1_000

# The most queries that are drawn in all. With more than 20,000 queries fewer resamples are drawn: it saves time, and
# with that many queries resamples hardly differ.
MOST_DRAWS = 200_000_000

# The queries that are drawn at once, of 16 bytes each; it bounds the bootstrap's memory.
DRAWS_AT_ONCE = 1_000_000


def ndcg(ranking: Sequence[int], gains: Mapping[int, float]) -> float:
    """Normalised discounted cumulative gain of the first ten.

        DCG = sum over ranks r = 1..10 of gain(r) / log2(r + 1);  nDCG = DCG / DCG of the best order

    Gains from clicks are used as they are (they are rates, already linear in usefulness), editorial grades as
    2^grade - 1.

    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002, with
    the discount of Burges et al., "Learning to rank using gradient descent", ICML 2005.

    Args:
        ranking: Items, the best first.
        gains: The gain of each item; 0 for items that are absent.

    Returns:
        0 to 1; 0 if no item has any gain.
    """
    best = _dcg(sorted(gains.values(), reverse=True))
    return _dcg([gains.get(item, 0.0) for item in ranking[:CUTOFF]]) / best if best > 0 else 0.0


def reciprocal_rank(ranking: Sequence[int], gains: Mapping[int, float]) -> float:
    """1 / rank of the first item with a gain among the first ten, otherwise 0. Its mean is MRR@10."""
    return next((1 / rank for rank, item in enumerate(ranking[:CUTOFF], 1) if gains.get(item, 0.0) > 0), 0.0)


def recall(ranking: Sequence[int], gains: Mapping[int, float], cutoff: int = CUTOFF) -> float:
    """The share of the items with a gain that are among the first `cutoff`; 0 if no item has a gain."""
    relevant = {item for item, gain in gains.items() if gain > 0}
    return len(relevant.intersection(ranking[:cutoff])) / len(relevant) if relevant else 0.0


def bootstrap_intervals(differences: ArrayLike, seed: int) -> NDArray[np.float64]:
    """95 % expanded percentile intervals of the means of paired differences, new minus base.

    Queries are drawn with replacement (`_resampled_means`); all metrics share each draw. Source: Efron and
    Tibshirani, "An Introduction to the Bootstrap", 1993; for retrieval, Sakai, "Evaluating evaluation metrics
    based on the bootstrap", SIGIR 2006; for the expansion, see `_tail`.

    Args:
        differences: One row per query, one column per metric, [Q, M], Q > 0.
        seed: Seeds the draws: the same differences and seed give the same intervals.

    Returns:
        Lower and upper bounds, [2, M].
    """
    values = np.asarray(differences, dtype=np.float64)
    tail = _tail(len(values))
    bounds: NDArray[np.float64] = np.quantile(_resampled_means(values, seed), [tail, 1 - tail], axis=0)
    return bounds


def bootstrap_weighted_gain(
    gains: NDArray[np.float64], shares: tuple[float, float], seed: int, error: float = 0.05
) -> tuple[float, float, float]:
    """Mean and interval of a sum over two groups of queries: each group's mean gain times its share.

    A query that is in both groups is drawn for both at once, as its two gains go together. The interval is that of
    `bootstrap_intervals`, for another chance of error.

    Args:
        gains: One row per query, one column per group, [Q, 2]; NaN where a query is not in the group. A group with a
            share above 0 has a query.
        shares: The weight of each group.
        seed: Seeds the draws.
        error: How often the true mean may lie outside of the interval.

    Returns:
        The sum, and the lower and upper end of its interval.
    """
    present = ~np.isnan(gains)
    columns = np.hstack([np.where(present, gains, 0.0), present.astype(np.float64)])

    def weighted(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        # A draw without any query of a group says nothing about that group.
        means = np.divide(sums[:, :2], sums[:, 2:], out=np.zeros((len(sums), 2)), where=sums[:, 2:] > 0)
        whole: NDArray[np.float64] = means @ np.asarray(shares)
        return whole

    count = int(present[:, np.asarray(shares) > 0].sum(axis=0).min())
    tail = _tail(count, error)
    lower, upper = np.quantile(weighted(_resampled_means(columns, seed)), [tail, 1 - tail])
    return float(weighted(columns.mean(axis=0)[None, :])[0]), float(lower), float(upper)


def _resampled_means(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """The column means of up to `RESAMPLES` resamples of the rows, drawn with replacement, [R, M]."""
    count = len(values)
    resamples = max(LEAST_RESAMPLES, min(RESAMPLES, MOST_DRAWS // count))
    at_once = max(1, DRAWS_AT_ONCE // count)
    random = np.random.default_rng(seed % 2**63)
    means = np.empty((resamples, values.shape[1]))
    for start in range(0, resamples, at_once):
        may_go_on()
        rows = min(at_once, resamples - start)
        drawn = random.integers(0, count, (rows, count))
        drawn += np.arange(rows)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        means[start : start + rows] = times @ values / count
    return means


def _tail(count: int, error: float = 0.05) -> float:
    """The share of resampled means to leave out at each end, so that a share `error` of intervals misses the true mean.

        tail = Phi(-sqrt(n / (n - 1)) * t),  t = the 1 - error / 2 quantile of Student's t with n - 1 degrees of freedom

    With 2.5 % at each end, one in ten intervals of ten normal differences would miss. Source: Hesterberg,
    "What teachers should know about the bootstrap", The American Statistician 2015, section 3.1; t by the
    Cornish-Fisher expansion in Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.5.
    """
    if count == 1:
        return 0.0
    free = count - 1
    z = NormalDist().inv_cdf(1 - error / 2)
    t = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * free**3)
    return NormalDist().cdf(-math.sqrt(count / free) * t)


def _dcg(gains: Sequence[float]) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:CUTOFF], 1))
