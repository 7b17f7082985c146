"""The split of queries into those that train and those that measure (R17)."""

import pytest

from clickstream.domain.query_split import (
    MIN_HELD_OUT_QUERIES,
    MIN_TRAINING_QUERIES,
    Split,
    fold_of,
    is_held_out,
    normalised,
)


@pytest.mark.parametrize("twin", ["Red  Shoe", " red shoe ", "RED\tSHOE", "ｒｅｄ shoe"])  # noqa: RUF001 - full width
def test_queries_that_differ_in_case_and_space_are_one(twin: str) -> None:
    """Evidence pools over every way of writing the same query."""
    assert normalised(twin) == normalised("red shoe")


@pytest.mark.parametrize(
    "mark", ["\u200b", "\u200d", "\u00ad", "\ufeff", "\u202e", "\ufe0f", "\u2060", "\u034f", "\U000e0041"]
)
def test_characters_without_an_appearance_make_no_other_query(mark: str) -> None:
    """A query that looks the same is the same, and one that shows nothing is no query."""
    assert normalised(f"zebra{mark}crossing{mark}") == "zebracrossing"
    assert normalised(f" {mark}{mark} ") == ""


def test_r17_the_split_depends_on_the_seed() -> None:
    """R17: another seed holds out other queries."""
    queries = [f"query {number}" for number in range(100)]
    assert [is_held_out(q, 1, 0.2) for q in queries] != [is_held_out(q, 2, 0.2) for q in queries]


def test_r17_distinct_queries_are_counted_by_their_part() -> None:
    """R17: each query counts once, in the part where a run puts it; an empty one counts in none."""
    queries = [f"query {number}" for number in range(100)]
    held_out = sum(is_held_out(query, 7, 0.3) for query in queries)
    assert Split.of([*queries, *queries, ""], 7, 0.3, 1) == Split(training=100 - held_out, held_out=held_out)
    assert Split.of([], 7, 0.3, 1) == Split.of([], 7, 0.3, 0) == Split(0, 0)


def test_r17_with_folds_every_query_measures() -> None:
    """R17: all queries are held out of some fold, and the fold with the most of them has the fewest to train on."""
    queries = [f"query {number}" for number in range(100)]
    of_fold = [fold_of(query, 7, 3) for query in queries]
    assert set(of_fold) == {0, 1, 2}
    expected = Split(training=100 - max(map(of_fold.count, range(3))), held_out=100)
    assert Split.of([*queries, *queries, ""], 7, 0.3, 0) == Split.of(queries, 7, 0.3, 3) == expected


def test_r17_what_is_too_little_is_said_in_numbers() -> None:
    """R17: the text names the numbers there are and the numbers needed; it is empty if both suffice."""
    assert Split(MIN_TRAINING_QUERIES, MIN_HELD_OUT_QUERIES).shortage() == ""
    words = "distinct queries: {} held out and {} to train on; at least 10 and 4 are needed"
    assert Split(30, 9).shortage() == words.format(9, 30)
    assert Split(3, 10).shortage() == words.format(10, 3)
