"""Pools the sessions by query, item and position while the inputs are read."""

import hashlib
import json
from dataclasses import dataclass, field

from clickstream.domain.errors import FailedPrecondition, Reason
from clickstream.domain.item_template import ItemTemplate
from clickstream.domain.query_split import is_held_out, normalised, session_part
from clickstream.domain.runs import FineTuningSettings
from clickstream.domain.training_inputs import TrainingInput, has_text
from clickstream.training.clicks.click_log import ClickLog, HeldOutSample, LoggedSession, Showing
from clickstream.training.data.repeated_searches import RepeatedSearches


@dataclass(slots=True)
class SessionPool:
    """The counts of all sessions, by normalised query, item and position.

    `items` numbers the object ids, `item_texts` are the texts by that number, `queries` gives a query as it was
    first written by its normalised form. `logs` has the sessions by their part (`query_split.session_part`), without
    those in `held_out_sample`. All are in the order of insertion, so the same inputs give the same order of everything.
    """

    template: ItemTemplate
    settings: FineTuningSettings
    input_count: int = 0
    inputs_without_text: int = 0
    inputs_outside_time: int = 0
    items: dict[str, int] = field(default_factory=dict)
    item_texts: dict[int, str] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=dict)
    logs: dict[int, ClickLog] = field(default_factory=lambda: {0: ClickLog()})
    repeats: RepeatedSearches = field(default_factory=RepeatedSearches)
    held_out_sample: HeldOutSample = field(default_factory=HeldOutSample)
    batch_ids: dict[str, None] = field(default_factory=dict)
    policy_versions: dict[str, None] = field(default_factory=dict)
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def add(self, training_input: TrainingInput) -> None:
        """Counts one session, or counts that it was left out: without text, or outside of the split's time."""
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
        part = self._part(key, training_input)
        counts = part is not None
        trained = [[r.object_id, r.position, r.grade, t] for r, t in zip(training_input.results, texts, strict=True)]
        line = json.dumps([training_input.query, training_input.policy_version, counts, trained])
        self.digest.update(line.encode() + b"\n")
        self.repeats.add(key, training_input.batch_id)
        if part is None:
            self.inputs_outside_time += 1
            return
        self.queries.setdefault(key, training_input.query.strip())
        shown = [
            Showing(item, result.position, result.grade)
            for result, item in zip(training_input.results, items, strict=True)
        ]
        counted = self.held_out_sample.offer(training_input.session_id, LoggedSession(key, shown, part))
        if counted is not None:
            self._log(counted)

    def _log(self, session: LoggedSession) -> None:
        self.logs.setdefault(session.part, ClickLog()).add(session)

    def add_held_out_sample(self) -> None:
        """Adds the sessions of `held_out_sample` to the logs. For one call, after the click models are compared."""
        for session in self.held_out_sample.sessions:
            self._log(session)

    def log(self, without_part: int | None = None) -> ClickLog:
        """The sessions of all parts, or of all but one, as one log; not to be changed."""
        logs = [self.logs[part] for part in sorted(self.logs) if part != without_part]
        if len(logs) == 1:
            return logs[0]
        whole = ClickLog()
        for log in logs:
            whole.add_log(log)
        return whole

    def _part(self, key: str, training_input: TrainingInput) -> int | None:
        """The part of a session; None if it is outside of the time of its query.

        With a split by time, later sessions measure: those of a training query are part 1.
        """
        settings = self.settings
        if settings.held_out_after is None:
            return session_part(training_input.session_id, settings.seed, settings.held_out_session_share)
        if training_input.searched_at is None:
            raise FailedPrecondition(
                Reason.TRAINING_IMPOSSIBLE,
                f"session {training_input.session_id!r} has no time, and `held_out_after` splits by time",
            )
        later = training_input.searched_at > settings.held_out_after
        if later == is_held_out(key, settings.seed, settings.held_out_share):
            return 0
        return 1 if later and settings.held_out_session_share else None

    def distinct_texts(self) -> tuple[list[str], dict[int, int]]:
        """The distinct texts, and the index into them by item; an item's latest text counts."""
        numbers: dict[str, int] = {}
        rows = {item: numbers.setdefault(text, len(numbers)) for item, text in sorted(self.item_texts.items())}
        return list(numbers), rows
