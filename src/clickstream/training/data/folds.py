"""Splits queries and sessions: what each fold's model learns from, and what measures it (R17)."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clickstream.domain.query_split import (
    MIN_HELD_OUT_QUERIES,
    fold_count,
    fold_of,
    is_held_out,
    is_validation,
    normalised,
    query_number,
)
from clickstream.domain.runs import FineTuningSettings
from clickstream.training.clicks.click_log import Counts
from clickstream.training.clicks.labels import ClickModel
from clickstream.training.data.examples import Example, examples_of
from clickstream.training.data.session_pool import SessionPool


@dataclass(frozen=True, slots=True)
class Fold:
    """What one model learns from (`training`), stops by (`validation`) and is measured on.

    `held_out` are queries that the fold never trains on, by all of their sessions; `repeated` are queries that it
    trains on, by sessions that it does not.
    """

    training: list[Example]
    held_out: list[Example]
    validation: Sequence[Example] = ()
    repeated: Sequence[Example] = ()


def split(
    pool: SessionPool,
    rows: NDArray[np.int64],
    correction: Callable[[Counts], ClickModel],
    settings: FineTuningSettings,
    *,
    by_one_split: bool,
) -> list[Fold]:
    """Splits the queries and the sessions into folds.

    Args:
        pool: The sessions.
        rows: The index of each item's text, or -1, by the item's number.
        correction: Gives labels to each part of the log.
        settings: How to split.
        by_one_split: Make one fold, if the settings leave the number open.
    """
    count = 1 if settings.folds == 0 and by_one_split else fold_count(settings.folds, len(pool.queries))
    if count == 1:
        of_fold = {q: int(is_held_out(q, settings.seed, settings.held_out_share)) - 1 for q in pool.queries}
    else:
        of_fold = {q: fold_of(q, settings.seed, count) for q in pool.queries}

    keys, leave_unknown = list(pool.queries), settings.unexamined == "unknown"

    def examples(log: Counts) -> dict[str, Example]:
        found = examples_of(log, correction(log).labels(), rows, pool.spelled, leave_unknown)
        return {keys[number]: example for number, example in found}

    whole = examples(pool.counts())
    return [
        _fold(
            {query: each for query, each in whole.items() if of_fold[query] == fold},
            {query: each for query, each in learned.items() if of_fold[query] != fold},
            examples(pool.logs[fold + 1].counts()) if fold + 1 in pool.logs else {},
            settings,
        )
        for fold in range(count)
        for learned in [examples(pool.counts(fold + 1)) if fold + 1 in pool.logs else whole]
    ]


def _fold(
    own: Mapping[str, Example],
    others: Mapping[str, Example],
    later: Mapping[str, Example],
    settings: FineTuningSettings,
) -> Fold:
    """A fold with its own queries, the other folds' queries as trained, and the sessions that do not train."""
    validation = {
        query
        for query, each in others.items()
        if settings.early_stopping_patience and each.is_measurable and is_validation(query, settings.seed)
    }
    training = {
        query: each
        for query, each in others.items()
        if query not in validation and any(evidence.acts > 0 for evidence in each.evidence.values())
    }
    return Fold(
        training=list(training.values()),
        held_out=[each for each in own.values() if each.is_measurable],
        validation=[each for query, each in others.items() if query in validation],
        repeated=[each for query, each in later.items() if query in training and each.is_measurable],
    )


def never_trained(folds: Sequence[Fold], base_queries: AbstractSet[int]) -> tuple[list[Fold], bool]:
    """Leaves out the held-out queries that the base model was trained on, if enough others measure.

    Returns the folds, and whether such queries are left because there are too few others.
    """
    kept = [
        replace(fold, held_out=[e for e in fold.held_out if query_number(normalised(e.query)) not in base_queries])
        for fold in folds
    ]
    left, before = (sum(len(fold.held_out) for fold in each) for each in (kept, folds))
    if left < MIN_HELD_OUT_QUERIES:
        return list(folds), left < before
    return kept, False
