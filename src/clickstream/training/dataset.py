"""Training inputs → what a model learns from and is measured on."""

import hashlib
import json
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from clickstream.converter import TrainingInput
from clickstream.errors import FailedPrecondition
from clickstream.runs import DataCounts, FineTuningSettings
from clickstream.training.position_bias import CORRECTIONS, Cell
from clickstream.training.template import ItemTemplate

MIN_TRAINING_QUERIES = 4


@dataclass(frozen=True, slots=True)
class Example:
    """A distinct query with what the log says about every text shown for it, by index into `Dataset.texts`.

    A training query has a target above 0, a held-out query a gain above 0 (see `position_bias.Grade`).
    `sessions` counts those behind it.
    """

    query: str
    targets: dict[int, float]
    gains: dict[int, float]
    sessions: int = 0


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a run learns from (`training`) and is measured on (`held_out`).

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


def read_dataset(inputs: Iterable[TrainingInput], settings: FineTuningSettings) -> Dataset:
    """Pools the inputs by query and item, corrects position bias and splits by query, and by time when asked.

    Reads the inputs once and keeps neither sessions nor meta: memory grows with distinct
    (query, item, position), not with sessions.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if the template or the correction is unknown, no item has
            text, an input has no time though the split needs it, or fewer than `MIN_TRAINING_QUERIES`
            distinct queries are left to train on.
    """
    correct = CORRECTIONS.get(settings.position_bias)
    if correct is None:
        known = ", ".join(f"`{name}`" for name in CORRECTIONS)
        raise _impossible(f"position_bias {settings.position_bias!r} is unknown; there are {known}")
    pool = _Pool(ItemTemplate(settings.item_template), settings)
    for training_input in inputs:
        pool.add(training_input)
    if not pool.input_count:
        raise _impossible("there is no input")
    texts, rows = pool.distinct_texts()
    if not texts:
        raise _impossible(f"no item has text by the template {settings.item_template!r}")

    training: list[Example] = []
    held_out: list[Example] = []
    for key, graded in correct(pool.log).items():
        example = Example(pool.queries[key], {}, {}, pool.sessions[key])
        for item, grade in graded.items():
            if item in rows:
                row = rows[item]
                example.targets[row] = max(grade.target, example.targets.get(row, 0.0))
                example.gains[row] = max(grade.gain, example.gains.get(row, 0.0))
        if is_held_out(key, settings.seed, settings.held_out_share):
            if any(gain > 0 for gain in example.gains.values()):
                held_out.append(example)
        elif any(target > 0 for target in example.targets.values()):
            training.append(example)
    if len(training) < MIN_TRAINING_QUERIES:
        raise _impossible(
            f"{len(training)} distinct training queries with a graded item that has text; "
            f"at least {MIN_TRAINING_QUERIES} are needed ({len(held_out)} more are held out)"
        )
    return Dataset(
        texts=texts,
        training=training,
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
    )


def normalised(query: str) -> str:
    """The form under which queries count as the same: Unicode NFKC, case folded, whitespace collapsed."""
    return " ".join(unicodedata.normalize("NFKC", query).casefold().split())


def is_held_out(normalised_query: str, seed: int, share: float) -> bool:
    """Whether a query is for measuring only (R17).

    A hash decides, not a draw over the queries at hand: a later run with this seed holds out the same
    queries, so a model that starts from this run's model is again measured on queries that neither saw.
    """
    digest = hashlib.sha256(f"{seed}\n{normalised_query}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


@dataclass(slots=True)
class _Pool:
    """Evidence of all sessions, by normalised query, item and position."""

    template: ItemTemplate
    settings: FineTuningSettings
    input_count: int = 0
    inputs_without_text: int = 0
    inputs_outside_time: int = 0
    # Insertion-ordered everywhere: the same inputs give the same order of everything.
    items: dict[str, int] = field(default_factory=dict)
    item_texts: dict[int, str] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=dict)
    sessions: Counter[str] = field(default_factory=Counter)
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
        counts = self._counts_in_time(key, training_input)
        trained = [[r.object_id, r.position, r.grade, t] for r, t in zip(training_input.results, texts, strict=True)]
        line = json.dumps([training_input.query, training_input.policy_version, counts, trained])
        self.digest.update(line.encode() + b"\n")
        if not counts:
            self.inputs_outside_time += 1
            return
        self.queries.setdefault(key, training_input.query.strip())
        self.sessions[key] += 1
        cells_by_item = self.log.setdefault(key, {})
        for result, item in zip(training_input.results, items, strict=True):
            cell = cells_by_item.setdefault(item, defaultdict(Cell))[result.position]
            cell.impressions += 1
            cell.acts += result.grade > 0
            cell.grades += result.grade

    def _counts_in_time(self, key: str, training_input: TrainingInput) -> bool:
        """The past trains and the future measures; without a split by time every session does its query's part."""
        if self.settings.held_out_after is None:
            return True
        if training_input.searched_at is None:
            raise _impossible(f"session {training_input.session_id!r} has no time, and `held_out_after` splits by it")
        later = training_input.searched_at > self.settings.held_out_after
        return later == is_held_out(key, self.settings.seed, self.settings.held_out_share)

    def distinct_texts(self) -> tuple[list[str], dict[int, int]]:
        """The distinct texts, and each item's index into them; an item's latest text counts."""
        rows: dict[str, int] = {}
        return_rows = {item: rows.setdefault(text, len(rows)) for item, text in sorted(self.item_texts.items())}
        return list(rows), return_rows


def _impossible(why: str) -> FailedPrecondition:
    return FailedPrecondition("TRAINING_IMPOSSIBLE", why)
