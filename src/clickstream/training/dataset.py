"""Training inputs → what a model learns from and is measured on."""

import hashlib
import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from clickstream.converter import TrainingInput
from clickstream.errors import FailedPrecondition
from clickstream.runs import DataCounts, FineTuningSettings
from clickstream.training.examination import is_unknown, propensities
from clickstream.training.position_bias import CORRECTIONS, Cell, Grade
from clickstream.training.template import ItemTemplate

MIN_TRAINING_QUERIES = 4
MIN_VALIDATION_QUERIES = 4
VALIDATION_SHARE = 0.1
"""Of the training queries, where training stops early."""


@dataclass(frozen=True, slots=True)
class Example:
    """A distinct query with what the log says about every text shown for it, by index into `Dataset.texts`.

    A training query has a target above 0, a held-out or validation query a gain above 0 (see
    `position_bias.Grade`). `unknown` are shown texts without a target that probably nobody examined.
    """

    query: str
    targets: dict[int, float]
    gains: dict[int, float]
    unknown: AbstractSet[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a run learns from (`training`), stops by (`validation`) and is measured on (`held_out`).

    `texts` are the distinct texts of all items; items with the same text are one candidate, so that an
    item's twin is never its negative. `fingerprint` is the SHA-256 over the inputs as trained.
    """

    texts: list[str]
    training: list[Example]
    held_out: list[Example]
    counts: DataCounts
    fingerprint: str
    batch_ids: tuple[str, ...]
    policy_version: str
    validation: Sequence[Example] = ()


def read_dataset(inputs: Iterable[TrainingInput], settings: FineTuningSettings) -> Dataset:
    """Pools the inputs by query and item, corrects position bias and splits by query.

    Reads the inputs once and keeps neither sessions nor meta: memory grows with distinct
    (query, item, position), not with sessions.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if the template or the correction is unknown, no item has
            text, or fewer than `MIN_TRAINING_QUERIES` distinct queries are left to train on, or fewer than
            `MIN_VALIDATION_QUERIES` to stop early by.
    """
    correct = CORRECTIONS.get(settings.position_bias)
    if correct is None:
        known = ", ".join(f"`{name}`" for name in CORRECTIONS)
        raise _impossible(f"position_bias {settings.position_bias!r} is unknown; there are {known}")
    pool = _Pool(ItemTemplate(settings.item_template))
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
    # Where every position counts as examined, nothing is unknown.
    propensity = propensities(pool.log) if settings.unexamined == "unknown" else defaultdict(lambda: 1.0)
    for key, graded in correct(pool.log).items():
        example = _example(pool.queries[key], graded, pool.log[key], rows, propensity)
        measurable = any(gain > 0 for gain in example.gains.values())
        if is_held_out(key, settings.seed, settings.held_out_share):
            if measurable:
                held_out.append(example)
        elif settings.early_stopping_patience and measurable and is_validation(key, settings.seed):
            validation.append(example)
        elif any(target > 0 for target in example.targets.values()):
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
        ),
        fingerprint=pool.digest.hexdigest(),
        batch_ids=tuple(pool.batch_ids),
        policy_version=", ".join(pool.policy_versions),
    )


def _check_enough(training: int, validation: int, held_out: int, settings: FineTuningSettings) -> None:
    if training < MIN_TRAINING_QUERIES:
        raise _impossible(
            f"{training} distinct training queries with a graded item that has text; "
            f"at least {MIN_TRAINING_QUERIES} are needed ({held_out + validation} more are held out)"
        )
    if settings.early_stopping_patience and validation < MIN_VALIDATION_QUERIES:
        raise _impossible(
            f"{validation} distinct validation queries are too few to stop early by; "
            f"at least {MIN_VALIDATION_QUERIES} are needed, or early_stopping_patience 0"
        )


def _example(
    query: str,
    graded: Mapping[int, Grade],
    shown: Mapping[int, Mapping[int, Cell]],
    rows: Mapping[int, int],
    propensity: Mapping[int, float],
) -> Example:
    """What the log says about the texts of one query; items with the same text count as the best of them."""
    targets: dict[int, float] = {}
    gains: dict[int, float] = {}
    known: set[int] = set()
    for item, grade in graded.items():
        if item in rows:
            row = rows[item]
            targets[row] = max(grade.target, targets.get(row, 0.0))
            gains[row] = max(grade.gain, gains.get(row, 0.0))
            if not is_unknown(shown[item], propensity):
                known.add(row)
    unknown = frozenset(targets.keys() - known)
    targets.update(dict.fromkeys(unknown, 0.0))
    return Example(query, targets, gains, unknown)


def normalised(query: str) -> str:
    """The form under which queries count as the same: Unicode NFKC, case folded, whitespace collapsed."""
    return " ".join(unicodedata.normalize("NFKC", query).casefold().split())


def is_held_out(normalised_query: str, seed: int, share: float) -> bool:
    """Whether a query is for measuring only (R17).

    A hash decides, not a draw over the queries at hand: a later run with this seed holds out the same
    queries, so a model that starts from this run's model is again measured on queries that neither saw.
    """
    return _place(f"{seed}\n{normalised_query}") < share


def is_validation(normalised_query: str, seed: int) -> bool:
    """Whether a query that is not held out decides when training stops, instead of being learned.

    Held-out queries must not decide it: the gate would then measure on queries by which the weights were
    chosen, and take luck for improvement.
    """
    return _place(f"validation\n{seed}\n{normalised_query}") < VALIDATION_SHARE


def _place(text: str) -> float:
    """A place from 0 to 1, the same for the same text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


@dataclass(slots=True)
class _Pool:
    """Evidence of all sessions, by normalised query, item and position."""

    template: ItemTemplate
    input_count: int = 0
    inputs_without_text: int = 0
    # Insertion-ordered everywhere: the same inputs give the same order of everything.
    items: dict[str, int] = field(default_factory=dict)
    item_texts: dict[int, str] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=dict)
    log: dict[str, dict[int, dict[int, Cell]]] = field(default_factory=dict)
    batch_ids: dict[str, None] = field(default_factory=dict)
    policy_versions: dict[str, None] = field(default_factory=dict)
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def add(self, training_input: TrainingInput) -> None:
        """Takes up one session's evidence, or counts it as left out."""
        self.input_count += 1
        self.batch_ids[training_input.batch_id] = None
        self.policy_versions[training_input.policy_version] = None
        texts = [self.template.render(result.meta) for result in training_input.results]
        items = [self.items.setdefault(result.object_id, len(self.items)) for result in training_input.results]
        self.item_texts.update((item, text) for item, text in zip(items, texts, strict=True) if text)
        graded = [text for result, text in zip(training_input.results, texts, strict=True) if result.grade > 0]
        # A session in which nothing was done says something too: its items were shown in vain.
        if not any(graded or texts):
            self.inputs_without_text += 1
            return
        key = normalised(training_input.query)
        self.queries.setdefault(key, training_input.query.strip())
        cells_by_item = self.log.setdefault(key, {})
        for result, item in zip(training_input.results, items, strict=True):
            cell = cells_by_item.setdefault(item, defaultdict(Cell))[result.position]
            cell.impressions += 1
            cell.acts += result.grade > 0
            cell.grades += result.grade
        trained = [[r.object_id, r.position, r.grade, t] for r, t in zip(training_input.results, texts, strict=True)]
        line = json.dumps([training_input.query, training_input.policy_version, trained])
        self.digest.update(line.encode() + b"\n")

    def distinct_texts(self) -> tuple[list[str], dict[int, int]]:
        """The distinct texts, and each item's index into them; an item's latest text counts."""
        rows: dict[str, int] = {}
        return_rows = {item: rows.setdefault(text, len(rows)) for item, text in sorted(self.item_texts.items())}
        return list(rows), return_rows


def _impossible(why: str) -> FailedPrecondition:
    return FailedPrecondition("TRAINING_IMPOSSIBLE", why)
