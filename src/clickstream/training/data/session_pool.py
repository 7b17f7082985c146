"""The evidence of all sessions, pooled while the inputs are read."""

import hashlib
import json
from dataclasses import dataclass, field

from clickstream.domain.errors import FailedPrecondition, Reason
from clickstream.domain.item_template import ItemTemplate
from clickstream.domain.query_split import is_held_out, normalised
from clickstream.domain.runs import FineTuningSettings
from clickstream.domain.training_inputs import TrainingInput, has_text
from clickstream.training.clicks.click_log import ClickLog, Sampler, Session, Showing


@dataclass(slots=True)
class Pool:
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
    log: ClickLog = field(default_factory=ClickLog)
    """Without the sessions that the sampler holds."""
    sampler: Sampler = field(default_factory=Sampler)
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
        if not has_text(training_input.results, texts):
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
        shown = [
            Showing(item, result.position, result.grade)
            for result, item in zip(training_input.results, items, strict=True)
        ]
        counted = self.sampler.offer(training_input.session_id, Session(key, shown))
        if counted is not None:
            self.log.add(counted)

    def whole_log(self) -> ClickLog:
        """The log with the sessions that were held apart; to be asked for once."""
        for session in self.sampler.sessions:
            self.log.add(session)
        return self.log

    def _counts_in_time(self, key: str, training_input: TrainingInput) -> bool:
        """The past trains and the future measures; without a split by time every session does its query's part."""
        if self.settings.held_out_after is None:
            return True
        if training_input.searched_at is None:
            raise FailedPrecondition(
                Reason.TRAINING_IMPOSSIBLE,
                f"session {training_input.session_id!r} has no time, and `held_out_after` splits by it",
            )
        later = training_input.searched_at > self.settings.held_out_after
        return later == is_held_out(key, self.settings.seed, self.settings.held_out_share)

    def distinct_texts(self) -> tuple[list[str], dict[int, int]]:
        """The distinct texts, and each item's index into them; an item's latest text counts."""
        rows: dict[str, int] = {}
        return_rows = {item: rows.setdefault(text, len(rows)) for item, text in sorted(self.item_texts.items())}
        return list(rows), return_rows
