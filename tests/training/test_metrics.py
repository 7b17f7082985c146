import math

import pytest

from clickstream.training.metrics import bootstrap_interval, ndcg, recall, reciprocal_rank


def test_ndcg_by_hand() -> None:
    """Gains 3 and 1 at ranks 2 and 3, best order 3, 1: (3/log2 3 + 1/log2 4) / (3/log2 2 + 1/log2 3)."""
    expected = (3 / math.log2(3) + 1 / 2) / (3 + 1 / math.log2(3))
    assert ndcg([9, 1, 2], {1: 3.0, 2: 1.0, 3: 0.0}) == pytest.approx(expected)


def test_ndcg_of_the_best_order_is_one_even_with_more_than_ten_relevant() -> None:
    """The ideal is cut at 10 too."""
    gains = {item: float(20 - item) for item in range(15)}
    assert ndcg(list(range(15)), gains) == pytest.approx(1.0)


def test_rank_eleven_counts_for_nothing() -> None:
    """All metrics are cut at 10."""
    ranking = list(range(11))
    assert (ndcg(ranking, {10: 1.0}), reciprocal_rank(ranking, {10: 1.0}), recall(ranking, {10: 1.0})) == (0, 0, 0)


def test_reciprocal_rank_and_recall_by_hand() -> None:
    """First relevant at rank 2; two of three relevant items found."""
    gains = {1: 0.5, 2: 2.0, 3: 1.0, 9: 0.0}
    assert reciprocal_rank([9, 1, 2], gains) == 0.5
    assert recall([9, 1, 2], gains) == pytest.approx(2 / 3)


def test_without_relevant_items_everything_is_zero() -> None:
    """No division by 0."""
    assert (ndcg([1], {1: 0.0}), reciprocal_rank([1], {}), recall([1], {})) == (0, 0, 0)


def test_the_bootstrap_interval_matches_the_normal_one() -> None:
    """200 differences of mean 0.1 and deviation 0.5: about 0.1 ± 1.96 x 0.5 / sqrt(200)."""
    differences = [0.6, -0.4] * 100
    low, high = bootstrap_interval(differences, seed=1)
    half = 1.96 * 0.5 / math.sqrt(200)
    assert low == pytest.approx(0.1 - half, abs=0.01)
    assert high == pytest.approx(0.1 + half, abs=0.01)


def test_the_bootstrap_interval_depends_on_the_seed_only() -> None:
    """R17: the same differences and seed give the same interval."""
    differences = [number**0.5 for number in range(40)]
    assert bootstrap_interval(differences, seed=-4) == bootstrap_interval(differences, seed=-4)
    assert bootstrap_interval(differences, seed=-4) != bootstrap_interval(differences, seed=5)
