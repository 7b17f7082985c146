"""Turns training inputs into the dataset that a model learns from and is measured on."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

from clickstream.domain.errors import FailedPrecondition, Reason
from clickstream.domain.evaluations import ClickModelScore
from clickstream.domain.item_template import ItemTemplate
from clickstream.domain.model_versions import DataCounts
from clickstream.domain.query_split import MIN_TRAINING_QUERIES, is_held_out, is_validation
from clickstream.domain.runs import FineTuningSettings
from clickstream.domain.training_inputs import TrainingInput
from clickstream.training.asking import may_go_on
from clickstream.training.clicks.corrections import AUTO, CORRECTIONS
from clickstream.training.clicks.labels import Label
from clickstream.training.clicks.model_choice import choose_correction
from clickstream.training.data.session_pool import SessionPool

# With fewer validation queries, a run with early stopping is refused.
MIN_VALIDATION_QUERIES = 4


class Evidence(NamedTuple):
    """What the log says about one text for one training query; `clicks.labels.Label` explains each number."""

    acts: float
    looks: float
    target: float

    def merged(self, other: "Evidence") -> "Evidence":
        """Adds the evidence of another item with the same text; the better target counts."""
        return Evidence(self.acts + other.acts, self.looks + other.looks, max(self.target, other.target))


# The evidence of a text before any item is counted.
NO_EVIDENCE = Evidence(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Example:
    """A distinct query, with what the log says about every text shown for it, by index into `Dataset.texts`.

    A training query has evidence with an act; a held-out or validation query has a gain above 0 (see
    `clicks.labels.Label`). `sessions` counts the sessions of the query; `unknown` are shown texts without an act
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


def read_dataset(inputs: Iterable[TrainingInput], settings: FineTuningSettings) -> Dataset:
    """Pools the inputs by query and item, corrects position bias, and splits by query and, where set, by time.

    Reads the inputs once. It keeps no meta, and only a bounded sample of sessions, by which click models are
    compared: memory grows with distinct (query, item, position), not with sessions.

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
    if not pool.input_count:
        raise _impossible("there is no input")
    texts, rows = pool.distinct_texts()
    if not texts:
        raise _impossible(f"no item has text by the template {settings.item_template!r}")

    training: list[Example] = []
    validation: list[Example] = []
    held_out: list[Example] = []
    click_models = choose_correction(pool.log, pool.held_out_sample.sessions, settings.position_bias)
    log = pool.whole_log()
    correction = next(CORRECTIONS[each.name] for each in click_models if each.chosen)
    for key, labels in correction(log).labels().items():
        may_go_on()
        example = _example(pool.queries[key], labels, rows, log.sessions[key], settings.unexamined == "unknown")
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
            items=len(rows),
            items_without_text=len(pool.items) - len(rows),
            inputs_without_text=pool.inputs_without_text,
            inputs_outside_time=pool.inputs_outside_time,
        ),
        fingerprint=pool.digest.hexdigest(),
        batch_ids=tuple(pool.batch_ids),
        policy_version=", ".join(pool.policy_versions),
        rows={object_id: rows[item] for object_id, item in pool.items.items() if item in rows},
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


def _example(
    query: str, labels: Mapping[int, Label], rows: Mapping[int, int], sessions: int, leave_unknown: bool
) -> Example:
    """What the log says about the texts of one query; items with the same text count as one, labelled like the best."""
    evidence: dict[int, Evidence] = {}
    gains: dict[int, float] = {}
    known: set[int] = set()
    for item, label in labels.items():
        if item in rows:
            row = rows[item]
            evidence[row] = evidence.get(row, NO_EVIDENCE).merged(Evidence(label.acts, label.looks, label.target))
            gains[row] = max(label.gain, gains.get(row, 0.0))
            if not label.is_unknown:
                known.add(row)
    return Example(query, evidence, gains, sessions, frozenset(evidence.keys() - known if leave_unknown else ()))


def _impossible(why: str) -> FailedPrecondition:
    return FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, why)
