"""Training inputs: the sessions that conversion reads, and the graded results that it returns."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

IRRELEVANT = "irrelevant"
PAYLOAD_SEARCH = "payload_search"
NO_QUERY = "no_query"
NO_RESULTS = "no_results"
NO_EVENTS = "no_events"
ONLY_UNSHOWN_EVENTS = "only_unshown_events"
NO_TEXT = "no_text"
UNREADABLE = "unreadable"
GONE = "gone"
ERASED = "erased"
ONLY_NON_TEXT = "only_non_text"
ROBOT = "robot"

NON_TEXT = "non_text"

UNSHOWN_OBJECT = "unshown_object"
NON_TEXT_OBJECT = "non_text_object"
LATE = "late"
OVER_LIMIT = "over_limit"

# Clients choose the event types: a summary with an entry for each might become too large for the store.
COUNTED_TYPES = 1_000
OTHER_TYPES = "(other)"


@dataclass(frozen=True, slots=True)
class ShownResult:
    """One shown item at its 0-based position. Conversion passes `meta` on unchanged."""

    object_id: str
    position: int
    meta: Mapping[str, Any]
    is_text: bool = True


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One act on one object; `created_at` is in UTC."""

    event_id: str
    object_id: str
    type: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SearchSession:
    """A session as conversion reads it, with the events that count for training.

    `late_events` and `over_limit_events` are the numbers of events that do not count; `searched_at` is in UTC.
    """

    session_id: str
    batch_id: str
    number: int
    query: str
    results: Sequence[ShownResult]
    events: Sequence[SessionEvent]
    irrelevant: bool = False
    robot: bool = False
    payload_search: bool = False
    late_events: int = 0
    over_limit_events: int = 0
    searched_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class GradedResult:
    """A shown item with its grade (0 or more) and the ids of the events behind it."""

    object_id: str
    position: int
    grade: float
    event_ids: tuple[str, ...]
    meta: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TrainingInput:
    """One converted session: the query and its shown results, in shown order; `searched_at` is in UTC."""

    session_id: str
    batch_id: str
    number: int
    query: str
    results: tuple[GradedResult, ...]
    policy_version: str
    searched_at: datetime | None = None


@dataclass(slots=True)
class ConversionSummary:
    """Counts of what a conversion read, used and left out: sessions by reason, events by type or reason.

    The conversion applies the robot verdicts up to `robot_verdict_number`; 0: none.
    """

    policy_version: str
    robot_verdict_number: int = 0
    session_count: int = 0
    input_count: int = 0
    skipped_sessions: Counter[str] = field(default_factory=Counter)
    ignored_results: Counter[str] = field(default_factory=Counter)
    graded_events: Counter[str] = field(default_factory=Counter)
    ignored_events: Counter[str] = field(default_factory=Counter)
    unknown_types: Counter[str] = field(default_factory=Counter)

    def plain(self) -> dict[str, Any]:
        """The counts as plain data, by field name."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in values.items()}

    def skip(self, reason: str) -> None:
        """Counts one session that gives no input, and why."""
        self.session_count += 1
        self.skipped_sessions[reason] += 1


def has_text(results: Sequence[GradedResult], texts: Sequence[str]) -> bool:
    """Whether the session has a usable item text.

    Among the items acted on (grade above 0) or, if there were no acts, among all shown.

    Args:
        results: The session's graded results.
        texts: The item text of each result, in the same order; "" if it has none.
    """
    graded = [text for result, text in zip(results, texts, strict=True) if result.grade > 0]
    return any(graded or texts)
