"""Folds: which queries and sessions train, and which measure (R17)."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from support.shop_log import shop_log, tiny_settings

from clickstream.domain.errors import FailedPrecondition
from clickstream.domain.query_split import (
    MIN_HELD_OUT_QUERIES,
    ONE_SPLIT_ABOVE,
    fold_count,
    normalised,
    query_number,
)
from clickstream.domain.training_inputs import TrainingInput
from clickstream.training.data.dataset import Dataset, read_dataset
from clickstream.training.data.examples import Example
from clickstream.training.data.session_pool import draws_of, session_parts

SETTINGS = tiny_settings("unused", folds=3, held_out_session_share=0.2)


def log(sessions: int = 10) -> list[TrainingInput]:
    """The shop log, with several sessions for each query."""
    return [replace(one, session_id=f"{one.session_id} {number}") for number in range(sessions) for one in shop_log(1)]


def queries(examples: list[Example]) -> set[str]:
    """Their normalised queries."""
    return {normalised(example.query) for example in examples}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Eighty queries of ten sessions each, in three folds."""
    return read_dataset(log(), SETTINGS)


def test_r17_every_query_is_held_out_of_one_fold_and_trains_in_the_others(dataset: Dataset) -> None:
    """R17: no fold measures a held-out query that it trains on, and each query measures once."""
    held_out = [queries(list(fold.held_out)) for fold in dataset.folds]
    assert len(held_out) == 3
    assert Counter(query for of_fold in held_out for query in of_fold) == Counter(dataset.used_queries)
    for fold, own in zip(dataset.folds, held_out, strict=True):
        assert queries(fold.training) == dataset.used_queries - own
    assert (dataset.counts.training_queries, dataset.counts.held_out_queries) == (80, 80)


def test_r17_no_session_trains_the_model_that_it_measures(dataset: Dataset) -> None:
    """R17: repeated queries of a fold are trained ones; the sessions that measure one are missing from its evidence."""
    ids = [one.session_id for one in log()]
    parts = dict(zip(ids, session_parts(draws_of(ids), SETTINGS.seed, 0.2).tolist(), strict=True))
    for number, fold in enumerate(dataset.folds, 1):
        assert queries(list(fold.repeated)) <= queries(fold.training)
        assert len(fold.repeated) > 20
        kept = Counter(normalised(one.query) for one in log() if parts[one.session_id] != number)
        measuring = Counter(normalised(one.query) for one in log() if parts[one.session_id] == number)
        assert {e.query: e.sessions for e in fold.training} == {
            e.query: kept[normalised(e.query)] for e in fold.training
        }
        assert all(each.sessions == measuring[normalised(each.query)] for each in fold.repeated)


def test_r17_held_out_queries_are_measured_by_all_of_their_sessions(dataset: Dataset) -> None:
    """R17: the sessions of a query that no session of its fold trains on all measure it."""
    assert {example.sessions for fold in dataset.folds for example in fold.held_out} == {10}


def test_one_split_holds_out_a_share_of_the_sessions() -> None:
    """With one fold, a fifth of the sessions of trained queries measure, and none of those trains."""
    fold = read_dataset(log(), replace(SETTINGS, folds=1)).folds[0]
    trained, measured = (sum(example.sessions for example in part) for part in (fold.training, fold.repeated))
    assert trained + measured == 10 * len(fold.training)
    assert 0.1 < measured / (trained + measured) < 0.3


def test_without_a_share_of_sessions_none_is_left_out() -> None:
    """With share 0, all sessions train, and no repeated query is measured."""
    for folds in (1, 3):
        for fold in read_dataset(log(2), replace(SETTINGS, folds=folds, held_out_session_share=0.0)).folds:
            assert not fold.repeated
            assert {example.sessions for example in fold.training} == {2}


@pytest.mark.parametrize(
    ("folds", "count", "expected"), [(0, 10, 3), (0, ONE_SPLIT_ABOVE + 1, 1), (2, 10**6, 2), (1, 10, 1)]
)
def test_the_number_of_folds_follows_the_number_of_queries(folds: int, count: int, expected: int) -> None:
    """With 0 the number of queries decides; any other number stays."""
    assert fold_count(folds, count) == expected


def test_r17_queries_of_the_base_model_do_not_count_as_never_searched() -> None:
    """R17: held-out queries that the base model was trained on are left out, as long as enough others are held out."""
    known = sorted(read_dataset(log(1), SETTINGS).used_queries)
    left = read_dataset(log(1), SETTINGS, base_queries=frozenset(map(query_number, known[:60])))
    assert queries([each for fold in left.folds for each in fold.held_out]) == set(known[60:])
    assert not left.held_out_was_trained
    too_few = 80 - MIN_HELD_OUT_QUERIES + 1
    all_kept = read_dataset(log(1), SETTINGS, base_queries=frozenset(map(query_number, known[:too_few])))
    assert all_kept.counts.held_out_queries == 80
    assert all_kept.held_out_was_trained


def test_r17_a_base_model_that_does_not_say_its_queries_gives_one_split() -> None:
    """R17: the split by the same seed then holds out the same queries as the base model's own run did."""
    settings = replace(SETTINGS, folds=0)
    assert len(read_dataset(log(1), settings).folds) == 3
    assert len(read_dataset(log(1), settings, base_queries=None).folds) == 1


def test_a_fold_with_too_few_queries_is_refused() -> None:
    """Every fold needs queries to train on."""
    few = [replace(one, query=query) for query in ("red shoe", "blue shoe", "hat") for one in log(1)[:3]]
    with pytest.raises(FailedPrecondition, match="distinct training queries"):
        read_dataset(few, SETTINGS)


def test_r17_a_session_measures_in_at_most_one_fold() -> None:
    """R17: each part has about the stated share of the sessions, with share 0 all train, and the seed matters."""
    draws = draws_of([f"session {number}" for number in range(5_000)])
    parts = session_parts(draws, 7, 0.2).tolist()
    assert all(900 < parts.count(part) < 1_100 for part in range(1, 6))
    assert set(session_parts(draws, 7, 0.0).tolist()) == {0}
    assert np.mean(session_parts(draws, 8, 0.2) == np.array(parts)) < 0.3
    held_out = draws < 2**63
    assert 900 / 5_000 < np.mean(session_parts(draws[held_out], 7, 0.2) == 1) < 1_100 / 5_000
