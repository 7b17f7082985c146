"""Compares two rankings of the demo's shop by what its shoppers wanted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from clickstream.demo.catalogue import Item
from clickstream.demo.shoppers import Rank, Want, relevance, text_of

CUTOFF = 10


@dataclass(frozen=True, slots=True)
class RankingComparison:
    """Mean nDCG@10 before and after, and each want's ten best items before and after."""

    wants: Sequence[Want]
    before: Sequence[Sequence[Item]]
    after: Sequence[Sequence[Item]]
    ndcg_before: float
    ndcg_after: float


def compare_rankings(wants: Sequence[Want], items: Sequence[Item], before: Rank, after: Rank) -> RankingComparison:
    """Ranks the whole catalogue for each want under both models; `wants` must not be empty."""
    best_before, best_after = (_best(wants, items, rank) for rank in (before, after))
    return RankingComparison(
        wants=wants,
        before=best_before,
        after=best_after,
        ndcg_before=_mean_ndcg(wants, items, best_before),
        ndcg_after=_mean_ndcg(wants, items, best_after),
    )


def ndcg(grades: Sequence[int], ideal: Sequence[int]) -> float:
    """nDCG@10 with gain 2^grade - 1 and discount log2(place + 2), place 0-based; 0 if nothing is relevant.

    Args:
        grades: Of the ranked items, the best place first.
        ideal: Of all items, in any order.

    Source: Burges et al., "Learning to rank using gradient descent", ICML 2005.
    """
    best = _dcg(sorted(ideal, reverse=True))
    return _dcg(grades) / best if best else 0.0


def _dcg(grades: Sequence[int]) -> float:
    return math.fsum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(grades[:CUTOFF]))


def _best(wants: Sequence[Want], items: Sequence[Item], rank: Rank) -> list[list[Item]]:
    order = rank([want.query for want in wants], [text_of(item) for item in items])
    return [[items[index] for index in row[:CUTOFF]] for row in order]


def _mean_ndcg(wants: Sequence[Want], items: Sequence[Item], best: Sequence[Sequence[Item]]) -> float:
    values = [
        ndcg([relevance(want, item) for item in row], [relevance(want, item) for item in items])
        for want, row in zip(wants, best, strict=True)
    ]
    return math.fsum(values) / len(values)
