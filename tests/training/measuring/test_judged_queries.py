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
    """What can be measured of these."""
    found = judged_set(judged, dataset, dataset.rows)
    assert found is not None
    return found


def test_grades_become_gains_by_text(dataset: Dataset) -> None:
    """R18: a grade g counts 2^g - 1, for the text of the object it was given to."""
    found = made(dataset, JudgedQuery("something warm", {"rain-shoe": 1, "snow-shoe": 3, "sun-shoe": 0}))
    [example] = found.examples
    gains = {dataset.texts[row]: gain for row, gain in example.gains.items()}
    assert gains == {"rain shoe": 1.0, "snow shoe": 7.0, "sun shoe": 0.0}
    assert (
        found.judgements_sha256
        == packed([JudgedQuery("something warm", {"sun-shoe": 0, "snow-shoe": 3, "rain-shoe": 1})])[0]
    )


def test_no_judgements_no_set(dataset: Dataset) -> None:
    """Nothing given, nothing reported."""
    assert judged_set([], dataset, dataset.rows) is None


def test_trained_queries_are_told_from_unseen_ones(dataset: Dataset) -> None:
    """R17, R18: a query counts as searched if its text was trained on, however written; held-out ones do not."""
    trained, held_out = dataset.training[0].query, dataset.held_out[0].query
    queries = [f" {trained.upper()} ", held_out, "never heard of"]
    found = made(dataset, *(JudgedQuery(query, {"rain-shoe": 1}) for query in queries))
    assert dict(zip((normalised(e.query) for e in found.examples), found.searched, strict=True)) == {
        trained: True, held_out: False, "never heard of": False,
    }  # fmt: skip


def test_queries_that_stop_the_training_are_no_unseen_ones(dataset: Dataset) -> None:
    """R17: weights are chosen by validation queries, so judgements of these say nothing about unseen queries."""
    stopping = replace(dataset, training=dataset.training[1:], validation=dataset.training[:1])
    assert made(stopping, JudgedQuery(dataset.training[0].query, {"rain-shoe": 1})).searched == [True]


def test_what_cannot_be_measured_is_counted(dataset: Dataset) -> None:
    """R18: unknown objects are counted and left out; so are queries that they leave without a relevant item."""
    found = made(
        dataset,
        JudgedQuery("one", {"nowhere": 2, "rain-shoe": 1}),
        JudgedQuery("two", {"nowhere": 2, "rain-shoe": 0}),
        JudgedQuery("three", {"gone": 1}),
    )
    assert [example.query for example in found.examples] == ["one"]
    assert (found.unmeasured_queries, found.unknown_items) == (2, 3)


def test_one_query_written_twice_is_one_with_the_highest_grades(dataset: Dataset) -> None:
    """Two ways of writing a query are not two queries that both count."""
    found = made(dataset, JudgedQuery("A b", {"rain-shoe": 1}), JudgedQuery(" a  B", {"rain-shoe": 2, "sun-shoe": 1}))
    [example] = found.examples
    assert sorted(example.gains.values()) == [1.0, 3.0]


def test_both_groups_are_compared_apart(dataset: Dataset) -> None:
    """R18: what training improves on its own queries is not mixed with what it does for others."""
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
