"""Turns training inputs into the dataset that a model learns from and is measured on."""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clickstream.domain.errors import FailedPrecondition, Reason
from clickstream.domain.evaluations import NOTHING_REPEATED, ClickModelScore, RepeatedShare
from clickstream.domain.item_template import ItemTemplate
from clickstream.domain.model_versions import DataCounts
from clickstream.domain.query_split import (
    MIN_TRAINING_QUERIES,
    normalised,
)
from clickstream.domain.runs import FineTuningSettings
from clickstream.domain.training_inputs import TrainingInput
from clickstream.training.clicks.corrections import AUTO, CORRECTIONS
from clickstream.training.clicks.model_choice import choose_correction
from clickstream.training.data.folds import Fold, never_trained, split
from clickstream.training.data.session_pool import SessionPool

# With fewer validation queries, a run with early stopping is refused.
MIN_VALIDATION_QUERIES = 4


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a run learns from and is measured on, in one fold or several.

    `texts` are the distinct texts of all items; items with the same text are one candidate, so that an
    item's twin is never its negative. `rows` gives the index into `texts` by object id. `fingerprint` is the
    SHA-256 over the inputs as trained. `held_out_was_trained` says that the base model was trained on some held-out
    queries, as too few others are held out.
    """

    texts: list[str]
    folds: Sequence[Fold]
    counts: DataCounts
    fingerprint: str
    batch_ids: tuple[str, ...]
    policy_version: str
    rows: dict[str, int] = field(default_factory=dict)
    click_models: tuple[ClickModelScore, ...] = ()
    repeated_share: RepeatedShare = NOTHING_REPEATED
    held_out_was_trained: bool = False

    @property
    def used_queries(self) -> set[str]:
        """The normalised queries that a fold trains on or stops by."""
        return {normalised(each.query) for fold in self.folds for each in (*fold.training, *fold.validation)}


def read_dataset(
    inputs: Iterable[TrainingInput],
    settings: FineTuningSettings,
    tick: Callable[[], None] = lambda: None,
    base_queries: AbstractSet[int] | None = frozenset(),
) -> Dataset:
    """Pools the inputs by query and item, corrects position bias, and splits by query, session and, where set, time.

    Reads the inputs once. It keeps no meta, and only a bounded sample of sessions, by which click models are
    compared: memory grows with distinct (query, item, position), and by 4 bytes for each session.

    Args:
        inputs: In the order of their numbers.
        settings: How to correct, split and choose texts.
        tick: Asked while click models are fitted and examples are made, many times a second. What it raises passes
            through.
        base_queries: The queries that the base model was trained on, as `query_number`; None if unknown.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if the template is malformed, the correction is unknown, no item
            has text, an input has no time though the split needs it, fewer than `MIN_TRAINING_QUERIES` distinct
            queries are left to train on, or fewer than `MIN_VALIDATION_QUERIES` to stop early by.
    """
    if settings.position_bias not in {AUTO, *CORRECTIONS}:
        known = ", ".join(f"`{name}`" for name in [AUTO, *CORRECTIONS])
        raise _impossible(f"position_bias {settings.position_bias!r} is unknown; there are {known}")
    pool = SessionPool(ItemTemplate(settings.item_template), settings)
    for training_input in inputs:
        pool.add(training_input)
    pool.finish()
    if not pool.input_count:
        raise _impossible("there is no input")
    texts, rows = pool.texts.distinct()
    if not texts:
        raise _impossible(f"no item has text by the template {settings.item_template!r}")
    click_models = choose_correction(pool.counts(), pool.held_out_sample.sessions, settings.position_bias, tick)
    pool.add_held_out_sample()
    correction = next(CORRECTIONS[each.name] for each in click_models if each.chosen)
    by_one_split = base_queries is None or settings.held_out_after is not None
    folds = split(pool, rows, lambda log: correction(log, tick), settings, by_one_split=by_one_split)
    folds, held_out_was_trained = never_trained(folds, base_queries or frozenset())
    for fold in folds:
        _check_enough(len(fold.training), len(fold.validation), len(fold.held_out), settings)
    return Dataset(
        texts=texts,
        folds=folds,
        counts=_counts(pool, rows, folds),
        fingerprint=pool.fingerprint(),
        batch_ids=tuple(pool.batch_ids),
        policy_version=", ".join(pool.policy_versions),
        rows={object_id: row for object_id, row in zip(pool.items, rows.tolist(), strict=True) if row >= 0},
        click_models=tuple(click_models),
        repeated_share=pool.repeats.share(base_queries),
        held_out_was_trained=held_out_was_trained,
    )


def _counts(pool: SessionPool, rows: NDArray[np.int64], folds: Sequence[Fold]) -> DataCounts:
    return DataCounts(
        input_count=pool.input_count,
        training_queries=len({each.query for fold in folds for each in fold.training}),
        held_out_queries=sum(len(fold.held_out) for fold in folds),
        items=int((rows >= 0).sum()),
        items_without_text=int((rows < 0).sum()),
        inputs_without_text=pool.inputs_without_text,
        inputs_outside_time=pool.inputs_outside_time,
    )


def _check_enough(training: int, validation: int, held_out: int, settings: FineTuningSettings) -> None:
    if training < MIN_TRAINING_QUERIES:
        raise _impossible(
            f"distinct training queries with a graded item that has text: {training}; "
            f"at least {MIN_TRAINING_QUERIES} are needed (held out: {held_out + validation} more)"
        )
    if settings.early_stopping_patience and validation < MIN_VALIDATION_QUERIES:
        raise _impossible(
            f"distinct validation queries to stop early by: {validation}; "
            f"at least {MIN_VALIDATION_QUERIES} are needed, or early_stopping_patience 0"
        )


def _impossible(why: str) -> FailedPrecondition:
    return FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, why)
