"""Training inputs → what a model learns from and is measured on."""

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
from clickstream.training.clicks.corrections import AUTO, CORRECTIONS
from clickstream.training.clicks.labels import Grade
from clickstream.training.clicks.model_choice import compare
from clickstream.training.data.session_pool import Pool

MIN_VALIDATION_QUERIES = 4


class Evidence(NamedTuple):
    """What a training query knows of a text: see `grades.Grade`."""

    acts: float
    looks: float
    target: float

    def joined(self, other: "Evidence") -> "Evidence":
        """With that of an item of the same text; the better target counts."""
        return Evidence(self.acts + other.acts, self.looks + other.looks, max(self.target, other.target))


NOTHING = Evidence(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Example:
    """A distinct query with what the log says about every text shown for it, by index into `Dataset.texts`.

    A training query has evidence with an act, a held-out or validation query a gain above 0 (see
    `grades.Grade`). `sessions` counts those behind it; `unknown` are shown texts without an act that
    probably nobody examined.
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
    item's twin is never its negative. `fingerprint` is the SHA-256 over the inputs as trained. `rows` is
    the index into `texts` by object id.
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
    """Pools the inputs by query and item, corrects position bias and splits by query, and by time when asked.

    Reads the inputs once, and keeps no meta and a bounded sample of sessions, by which click models are
    compared: memory grows with distinct (query, item, position), not with sessions.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if the template or the correction is unknown, no item has
            text, an input has no time though the split needs it, or fewer than `MIN_TRAINING_QUERIES`
            distinct queries are left to train on, or fewer than `MIN_VALIDATION_QUERIES` to stop early by.
    """
    if settings.position_bias not in {AUTO, *CORRECTIONS}:
        known = ", ".join(f"`{name}`" for name in [AUTO, *CORRECTIONS])
        raise _impossible(f"position_bias {settings.position_bias!r} is unknown; there are {known}")
    pool = Pool(ItemTemplate(settings.item_template), settings)
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
    click_models = compare(pool.log, pool.sampler.sessions, settings.position_bias)
    log = pool.whole_log()
    correction = next(CORRECTIONS[each.name] for each in click_models if each.chosen)
    for key, graded in correction(log).grades().items():
        example = _example(pool.queries[key], graded, rows, log.sessions[key], settings.unexamined == "unknown")
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
    query: str, graded: Mapping[int, Grade], rows: Mapping[int, int], sessions: int, leave_unknown: bool
) -> Example:
    """What the log says about the texts of one query; items with the same text count as one, graded as the best."""
    evidence: dict[int, Evidence] = {}
    gains: dict[int, float] = {}
    known: set[int] = set()
    for item, grade in graded.items():
        if item in rows:
            row = rows[item]
            evidence[row] = evidence.get(row, NOTHING).joined(Evidence(grade.acts, grade.looks, grade.target))
            gains[row] = max(grade.gain, gains.get(row, 0.0))
            if not grade.is_unknown:
                known.add(row)
    return Example(query, evidence, gains, sessions, frozenset(evidence.keys() - known if leave_unknown else ()))


def _impossible(why: str) -> FailedPrecondition:
    return FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, why)
