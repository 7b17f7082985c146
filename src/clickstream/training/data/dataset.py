"""Turns training inputs into the dataset that a model learns from and is measured on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clickstream.domain.errors import FailedPrecondition, Reason
from clickstream.domain.evaluations import ClickModelScore
from clickstream.domain.item_template import ItemTemplate
from clickstream.domain.model_versions import DataCounts
from clickstream.domain.query_split import MIN_TRAINING_QUERIES, is_held_out, is_validation
from clickstream.domain.runs import FineTuningSettings
from clickstream.domain.training_inputs import TrainingInput
from clickstream.training.clicks.click_log import Counts
from clickstream.training.clicks.corrections import AUTO, CORRECTIONS
from clickstream.training.clicks.labels import Labels
from clickstream.training.clicks.model_choice import choose_correction
from clickstream.training.data.session_pool import SessionPool

# With fewer validation queries, a run with early stopping is refused.
MIN_VALIDATION_QUERIES = 4


class Evidence(NamedTuple):
    """What the log says about one text for one training query; `clicks.labels.Labels` explains each number."""

    acts: float
    looks: float
    target: float


# The evidence of a text before any item is counted.
NO_EVIDENCE = Evidence(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Example:
    """A distinct query, with what the log says about every text shown for it, by index into `Dataset.texts`.

    A training query has evidence with an act; a held-out or validation query has a gain above 0 (see
    `clicks.labels.Labels`). `sessions` counts the sessions of the query; `unknown` are shown texts without an act
    that were probably never examined.
    """

    query: str
    evidence: dict[int, Evidence]
    gains: dict[int, float]
    sessions: int = 0
    unknown: AbstractSet[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a run learns from (`training`), stops by (`validation`) and is measured on (`held_out`).

    `texts` are the distinct texts of all items; items with the same text are one candidate, so that an
    item's twin is never its negative. `rows` gives the index into `texts` by object id. `fingerprint` is the
    SHA-256 over the inputs as trained.
    """

    texts: list[str]
    training: list[Example]
    held_out: list[Example]
    counts: DataCounts
    fingerprint: str
    batch_ids: tuple[str, ...]
    policy_version: str
    rows: dict[str, int] = field(default_factory=dict)
    validation: Sequence[Example] = ()
    click_models: tuple[ClickModelScore, ...] = ()


def read_dataset(
    inputs: Iterable[TrainingInput], settings: FineTuningSettings, tick: Callable[[], None] = lambda: None
) -> Dataset:
    """Pools the inputs by query and item, corrects position bias, and splits by query and, where set, by time.

    Reads the inputs once. It keeps no meta, and only a bounded sample of sessions, by which click models are
    compared: memory grows with distinct (query, item, position), not with sessions.

    Args:
        inputs: Read once, in order.
        settings: How to correct, split and choose texts.
        tick: Asked while click models are fitted and examples are made, many times a second. What it raises passes
            through.

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

    training: list[Example] = []
    validation: list[Example] = []
    held_out: list[Example] = []
    click_models = choose_correction(pool.log.counts(), pool.held_out_sample.sessions, settings.position_bias, tick)
    log = pool.whole_log().counts()
    labels = next(CORRECTIONS[each.name] for each in click_models if each.chosen)(log, tick).labels()
    keys = list(pool.queries)
    for query, example in _examples(log, labels, rows, pool.spelled, settings.unexamined == "unknown"):
        tick()
        key = keys[query]
        measurable = any(gain > 0 for gain in example.gains.values())
        if is_held_out(key, settings.seed, settings.held_out_share):
            if measurable:
                held_out.append(example)
        elif settings.early_stopping_patience and measurable and is_validation(key, settings.seed):
            validation.append(example)
        elif any(each.acts > 0 for each in example.evidence.values()):
            training.append(example)
    _check_enough(len(training), len(validation), len(held_out), settings)
    return Dataset(
        texts=texts,
        training=training,
        validation=validation,
        held_out=held_out,
        counts=DataCounts(
            input_count=pool.input_count,
            training_queries=len(training),
            held_out_queries=len(held_out),
            items=int((rows >= 0).sum()),
            items_without_text=int((rows < 0).sum()),
            inputs_without_text=pool.inputs_without_text,
            inputs_outside_time=pool.inputs_outside_time,
        ),
        fingerprint=pool.fingerprint(),
        batch_ids=tuple(pool.batch_ids),
        policy_version=", ".join(pool.policy_versions),
        rows={object_id: row for object_id, row in zip(pool.items, rows.tolist(), strict=True) if row >= 0},
        click_models=tuple(click_models),
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


def _examples(
    log: Counts, labels: Labels, rows: NDArray[np.int64], spelled: Sequence[str], leave_unknown: bool
) -> Iterator[tuple[int, Example]]:
    """What the log says about the texts of each query, by the number of the query.

    Items with the same text count as one: evidence adds up, and the better target and gain count.

    Args:
        log: The log.
        labels: The labels of its pairs.
        rows: The index of each item's text, or -1.
        spelled: The queries as written, by number.
        leave_unknown: Whether items that were probably never examined are unknown.
    """
    pairs = log.pairs
    order = np.argsort(pairs.query * (int(rows.max()) + 1) + rows[pairs.item], kind="stable")
    order = order[rows[pairs.item[order]] >= 0]
    query, row = pairs.query[order], rows[pairs.item[order]]
    first = np.flatnonzero((np.diff(query, prepend=-1) != 0) | (np.diff(row, prepend=-1) != 0))
    acts, looks = (np.add.reduceat(column[order], first).tolist() for column in (labels.acts, labels.looks))
    target, gain = (np.maximum.reduceat(column[order], first).tolist() for column in (labels.target, labels.gain))
    unknown = np.logical_and.reduceat(labels.is_unknown[order], first) & leave_unknown
    query, row = query[first], row[first].tolist()
    evidence = list(map(Evidence, acts, looks, target))
    starts = np.flatnonzero(np.diff(query, prepend=-1))
    sessions = log.sessions.tolist()
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(query)], strict=True):
        own, number = row[start:end], int(query[start])
        left = frozenset(own[place] for place in np.flatnonzero(unknown[start:end]).tolist())
        known = dict(zip(own, evidence[start:end], strict=True))
        gains = dict(zip(own, gain[start:end], strict=True))
        yield number, Example(spelled[number], known, gains, int(sessions[number]), left)


def _impossible(why: str) -> FailedPrecondition:
    return FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, why)
