import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import ndcg_score

from clickstream.training.measuring import metrics
from clickstream.training.measuring.metrics import bootstrap_intervals, ndcg, recall, reciprocal_rank


def interval(differences: list[float], seed: int) -> tuple[float, float]:
    """The interval of one metric."""
    low, high = bootstrap_intervals([[each] for each in differences], seed)[:, 0].tolist()
    return low, high


def test_ndcg_by_hand() -> None:
    """Gains 3 and 1 at ranks 2 and 3, best order 3, 1: (3/log2 3 + 1/log2 4) / (3/log2 2 + 1/log2 3)."""
    expected = (3 / math.log2(3) + 1 / 2) / (3 + 1 / math.log2(3))
    assert ndcg([9, 1, 2], {1: 3.0, 2: 1.0, 3: 0.0}) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_ndcg_equals_that_of_scikit_learn(seed: int) -> None:
    """Any order of 40 items with graded gains has the same nDCG in both implementations."""
    random = np.random.default_rng(seed)
    gains, scores = random.choice([0.0, 0.0, 0.5, 1.0, 3.0], 40), random.permutation(40)
    ours = ndcg(np.argsort(-scores).tolist(), dict(enumerate(gains.tolist())))
    assert ours == pytest.approx(ndcg_score([gains], [scores], k=10))


def test_ndcg_of_the_best_order_is_one_even_with_more_than_ten_relevant() -> None:
    """The best order is also cut at 10."""
    gains = {item: float(20 - item) for item in range(15)}
    assert ndcg(list(range(15)), gains) == pytest.approx(1.0)


def test_rank_eleven_does_not_count() -> None:
    """By default all metrics are cut at 10."""
    ranking = list(range(11))
    assert (ndcg(ranking, {10: 1.0}), reciprocal_rank(ranking, {10: 1.0}), recall(ranking, {10: 1.0})) == (0, 0, 0)


def test_recall_is_cut_at_the_given_rank() -> None:
    """Of relevant items at ranks 11, 100 and 101, two are among the first hundred."""
    gains = {10: 1.0, 99: 1.0, 100: 1.0}
    assert recall(list(range(200)), gains, 100) == pytest.approx(2 / 3)


def test_reciprocal_rank_and_recall_by_hand() -> None:
    """The first relevant item is at rank 2, and two of three relevant items are found."""
    gains = {1: 0.5, 2: 2.0, 3: 1.0, 9: 0.0}
    assert reciprocal_rank([9, 1, 2], gains) == 0.5
    assert recall([9, 1, 2], gains) == pytest.approx(2 / 3)


def test_without_relevant_items_everything_is_zero() -> None:
    """Nothing is divided by 0."""
    assert (ndcg([1], {1: 0.0}), reciprocal_rank([1], {}), recall([1], {})) == (0, 0, 0)


def test_the_bootstrap_interval_matches_the_normal_one() -> None:
    """200 differences of mean 0.1 and deviation 0.5: about 0.1 ± 1.96 x 0.5 / sqrt(200)."""
    low, high = interval([0.6, -0.4] * 100, seed=1)
    half = 1.96 * 0.5 / math.sqrt(200)
    assert low == pytest.approx(0.1 - half, abs=0.01)
    assert high == pytest.approx(0.1 + half, abs=0.01)


@pytest.mark.parametrize("count", [10, 15, 30])
def test_r17_an_interval_of_few_queries_contains_the_truth_as_often_as_stated(count: int) -> None:
    """R17: of 1,000 samples of normal differences about 5 % miss the mean; a plain percentile interval of ten: 10 %."""
    # All samples at once: a sample is a metric, though each draw is shared.
    samples = np.random.default_rng(4).normal(0.1, 0.3, (count, 1_000))
    low, high = bootstrap_intervals(samples, seed=1)
    missed = np.mean((low > 0.1) | (high < 0.1))
    assert 0.035 < missed < 0.065


def test_the_tail_is_that_of_students_t() -> None:
    """The expansion equals another implementation's quantiles, from the fewest queries that may pass on."""
    for count in (10, 20, 100, 10**6):
        expected = stats.norm.cdf(-math.sqrt(count / (count - 1)) * stats.t.ppf(0.975, count - 1))
        assert metrics._tail(count) == pytest.approx(expected, rel=1e-3)


def test_the_interval_of_one_query_is_its_own_value() -> None:
    """A single difference says nothing about noise."""
    assert interval([0.25], seed=1) == (0.25, 0.25)


def test_r17_the_bootstrap_interval_depends_on_the_seed_only() -> None:
    """R17: the same differences and seed give the same interval."""
    differences = [number**0.5 for number in range(40)]
    assert interval(differences, seed=-4) == interval(differences, seed=-4)
    assert interval(differences, seed=-4) != interval(differences, seed=5)


def test_all_metrics_share_their_resamples() -> None:
    """A metric that is double another has exactly double the bounds; one that never differs has bounds of 0."""
    one = np.random.default_rng(1).normal(size=30)
    bounds = bootstrap_intervals(np.stack([one, 2 * one, np.zeros(30)], axis=1), seed=2)
    np.testing.assert_allclose(bounds[:, 1], 2 * bounds[:, 0])
    assert bounds[:, 2].tolist() == [0, 0]


def test_many_queries_are_resampled_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory grows with `DRAWS_AT_ONCE`, not with resamples times queries (2,000 x 5,000 here: 80 MB)."""
    monkeypatch.setattr(metrics, "MOST_DRAWS", 10_000_000)
    monkeypatch.setattr(metrics, "DRAWS_AT_ONCE", 100_000)
    differences = np.random.default_rng(1).normal(0.02, 0.3, (5_000, 4))
    tracemalloc.start()
    bounds = bootstrap_intervals(differences, seed=3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000
    half = 1.96 * 0.3 / math.sqrt(5_000)
    np.testing.assert_allclose(bounds[1] - bounds[0], 2 * half, rtol=0.1)
