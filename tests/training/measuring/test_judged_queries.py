from dataclasses import replace

import pytest
from support.shop_log import shop_log, tiny_settings

from clickstream.domain.judgements import JudgedQuery, packed
from clickstream.domain.query_split import normalised
from clickstream.training.data.dataset import Dataset, read_dataset
from clickstream.training.measuring.judged_queries import JudgedSet, compare_judged, judged_set
from clickstream.training.measuring.ranking import QueryScores


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """The shop log."""
    return read_dataset(shop_log(1), tiny_settings("unused"))


def made(dataset: Dataset, *judged: JudgedQuery) -> JudgedSet:
    """The set of these judged queries."""
    found = judged_set(judged, dataset, dataset.rows)
    assert found is not None
    return found


def test_r18_grades_become_gains_by_text(dataset: Dataset) -> None:
    """R18: a grade g becomes the gain 2^g - 1 of its object's text."""
    found = made(dataset, JudgedQuery("something warm", {"rain-shoe": 1, "snow-shoe": 3, "sun-shoe": 0}))
    [example] = found.examples
    gains = {dataset.texts[row]: gain for row, gain in example.gains.items()}
    assert gains == {"rain shoe": 1.0, "snow shoe": 7.0, "sun shoe": 0.0}
    assert (
        found.judgements_sha256
        == packed([JudgedQuery("something warm", {"sun-shoe": 0, "snow-shoe": 3, "rain-shoe": 1})])[0]
    )


def test_no_judgements_no_set(dataset: Dataset) -> None:
    """Without judgements there is no set to measure on."""
    assert judged_set([], dataset, dataset.rows) is None


def test_r17_trained_queries_are_apart_from_unseen_ones(dataset: Dataset) -> None:
    """R17, R18: a query counts as searched if its normalised text was trained on; held-out queries do not."""
    trained, held_out = dataset.folds[0].training[0].query, dataset.folds[0].held_out[0].query
    queries = [f" {trained.upper()} ", held_out, "never searched"]
    found = made(dataset, *(JudgedQuery(query, {"rain-shoe": 1}) for query in queries))
    assert dict(zip((normalised(e.query) for e in found.examples), found.searched, strict=True)) == {
        trained: True, held_out: False, "never searched": False,
    }  # fmt: skip


def test_r17_validation_queries_count_as_searched(dataset: Dataset) -> None:
    """R17: weights are chosen by validation queries, so these are not unseen."""
    first, *others = dataset.folds[0].training
    stopping = replace(dataset, folds=[replace(dataset.folds[0], training=others, validation=[first])])
    assert made(stopping, JudgedQuery(dataset.folds[0].training[0].query, {"rain-shoe": 1})).searched == [True]


def test_r18_what_is_left_out_is_counted(dataset: Dataset) -> None:
    """R18: judgements on unknown objects are counted and left out, and so are queries without a known relevant item."""
    found = made(
        dataset,
        JudgedQuery("one", {"nowhere": 2, "rain-shoe": 1}),
        JudgedQuery("two", {"nowhere": 2, "rain-shoe": 0}),
        JudgedQuery("three", {"gone": 1}),
    )
    assert [example.query for example in found.examples] == ["one"]
    assert (found.unmeasured_queries, found.unknown_items) == (2, 3)


def test_two_spellings_of_a_query_count_once_with_the_highest_grades(dataset: Dataset) -> None:
    """Two queries with one normalised text become one example, in which each item has its highest grade."""
    found = made(dataset, JudgedQuery("A b", {"rain-shoe": 1}), JudgedQuery(" a  B", {"rain-shoe": 2, "sun-shoe": 1}))
    [example] = found.examples
    assert sorted(example.gains.values()) == [1.0, 3.0]


def test_r18_both_groups_are_compared_apart(dataset: Dataset) -> None:
    """R18: gains on searched queries are not mixed with those on queries that were never searched."""
    judged = JudgedSet("f00d", [], [True, False, True], 4, 5)
    base = [QueryScores(0.5, 0.5, 0.5, 0.5)] * 3
    new = [QueryScores(ndcg, 0.5, 0.5, 0.5) for ndcg in (0.9, 0.4, 0.7)]
    found = compare_judged(judged, base, new, seed=1)
    assert (found.searched.query_count, found.unsearched.query_count) == (2, 1)
    assert (found.searched.ndcg_gain.mean, found.unsearched.ndcg_gain.mean) == (
        pytest.approx(0.3),
        pytest.approx(-0.1),
    )
    assert (found.judgements_sha256, found.unmeasured_queries, found.unknown_items) == ("f00d", 4, 5)
