import math
from collections.abc import Sequence

import pytest

from clickstream.demo.catalogue import make_catalogue
from clickstream.demo.comparison import compare_rankings, ndcg
from clickstream.demo.shoppers import Rank, Want, make_wants, relevance

ITEMS = make_catalogue()
WANTS = make_wants(ITEMS, 5)


def by_truth(sign: int) -> Rank:
    """The best (-1) or the worst (1) ranking there is."""

    def rank(queries: Sequence[str], texts: Sequence[str]) -> list[list[int]]:
        wants: dict[str, Want] = {want.query: want for want in WANTS}
        return [
            sorted(range(len(texts)), key=lambda index: sign * relevance(wants[query], ITEMS[index]))
            for query in queries
        ]

    return rank


def test_ndcg_is_1_for_the_ideal_order_and_0_without_relevance():
    """nDCG@10 compares with the best order of all items, not of those ranked."""
    assert ndcg([3, 2, 1], [1, 2, 3]) == 1
    assert ndcg([0, 0], [0, 3]) == 0
    assert ndcg([0, 0], [0, 0]) == 0


def test_ndcg_by_hand():
    """Grades 0, 3 at two places: 7 / log2(3) over 7 / log2(2); places beyond ten count nothing."""
    assert ndcg([0, 3], [3, 0]) == pytest.approx(1 / math.log2(3))
    assert ndcg([0] * 10 + [3], [3]) == 0


def test_comparison_measures_both_rankings_over_the_whole_catalogue():
    """The worst ranking scores 0, the best 1, and the ten best items of each are kept per want."""
    comparison = compare_rankings(WANTS, ITEMS, by_truth(1), by_truth(-1))
    assert comparison.ndcg_before == 0
    assert comparison.ndcg_after == pytest.approx(1)
    assert [len(row) for row in comparison.after] == [10] * 5
    assert all(relevance(want, row[0]) == 3 for want, row in zip(WANTS, comparison.after, strict=True))
