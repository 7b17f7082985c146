"""The share of searches that repeat an earlier one: the weight of repeated searches in the gate (R28)."""

import random

import pytest

from clickstream.domain.evaluations import NOTHING_REPEATED, RepeatBasis, RepeatedShare
from clickstream.domain.query_split import query_number
from clickstream.training.data.repeated_searches import RepeatedSearches


def counted(searches: list[tuple[str, str]]) -> RepeatedSearches:
    """Searches, each with its batch."""
    repeats = RepeatedSearches()
    for query, batch_id in searches:
        repeats.add(query, batch_id)
    return repeats


def test_without_an_earlier_batch_the_later_half_counts() -> None:
    """Two of the four later searches repeat one of the earlier half; repeats within a half do not count."""
    searches = [(query, "b1") for query in ("a", "b", "a", "c", "a", "d", "d", "c")]
    assert counted(searches).share(None) == RepeatedShare(0.5, RepeatBasis.EARLIER_HALF)


def test_with_several_batches_the_last_one_counts() -> None:
    """One of the three searches of the last batch repeats one of the batches before."""
    searches = [("a", "b1"), ("b", "b2"), ("c", "b3"), ("b", "b3"), ("c", "b3")]
    assert counted(searches).share(frozenset()) == RepeatedShare(pytest.approx(1 / 3), RepeatBasis.EARLIER_BATCHES)


def test_the_queries_of_the_base_model_come_first() -> None:
    """With a base model that was trained on searches, these are the earlier ones."""
    trained = frozenset({query_number("a")})
    share = counted([("a", "b1"), ("b", "b1"), ("a", "b2"), ("b", "b2")]).share(trained)
    assert share == RepeatedShare(0.5, RepeatBasis.BASE_MODEL)


def test_nothing_is_repeated_without_searches() -> None:
    """No search, or one, gives 0."""
    assert RepeatedSearches().share(None) == NOTHING_REPEATED
    assert counted([("a", "b1")]).share(None).share == 0


@pytest.mark.parametrize("seed", range(5))
def test_r25_the_share_equals_a_plain_count(seed: int) -> None:
    """R25: the share of a random log is that of a count over two lists."""
    source = random.Random(seed)
    searches = [(str(source.randrange(30)), f"b{place // 40}") for place in range(source.randrange(1, 120))]
    last = searches[-1][1]
    has_earlier = searches[0][1] != last
    start = next(p for p, each in enumerate(searches) if each[1] == last) if has_earlier else len(searches) // 2
    earlier = {query for query, _ in searches[:start]}
    later = [query for query, _ in searches[start:]]
    assert counted(searches).share(None).share == pytest.approx(sum(q in earlier for q in later) / len(later))
