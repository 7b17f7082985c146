"""Session → training input, or a reason to skip it. Pure: no clock, no I/O, no exception for any session."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from clickstream.policy import ImportancePolicy
from clickstream.template import ItemTemplate

IRRELEVANT = "irrelevant"
PAYLOAD_SEARCH = "payload_search"
NO_QUERY = "no_query"
NO_RESULTS = "no_results"
NO_EVENTS = "no_events"
ONLY_UNSHOWN_EVENTS = "only_unshown_events"
NO_TEXT = "no_text"
UNREADABLE = "unreadable"
GONE = "gone"

UNSHOWN_OBJECT = "unshown_object"
LATE = "late"
OVER_LIMIT = "over_limit"

# Types are the clients' own: an account with an entry for each might become too large to be kept.
COUNTED_TYPES = 1_000
OTHER_TYPES = "(other)"


@dataclass(frozen=True, slots=True)
class ShownResult:
    """One shown item. `meta` is carried through untouched."""

    object_id: str
    position: int
    meta: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One act on one object; `created_at` is in UTC."""

    event_id: str
    object_id: str
    type: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SearchSession:
    """A session as the converter sees it, with the events that count for it.

    `late_events` and `over_limit_events` only count events that were left out before.
    """

    session_id: str
    batch_id: str
    number: int
    query: str
    results: Sequence[ShownResult]
    events: Sequence[SessionEvent]
    irrelevant: bool = False
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
    """Counts of what a conversion read, used and left out."""

    policy_version: str
    session_count: int = 0
    input_count: int = 0
    skipped_sessions: Counter[str] = field(default_factory=Counter)
    graded_events: Counter[str] = field(default_factory=Counter)
    ignored_events: Counter[str] = field(default_factory=Counter)
    unknown_types: Counter[str] = field(default_factory=Counter)

    def plain(self) -> dict[str, Any]:
        """The counts as plain data, by field name."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in values.items()}

    def skip(self, reason: str) -> None:
        """Counts one session that gives no input."""
        self.session_count += 1
        self.skipped_sessions[reason] += 1


def convert(
    session: SearchSession,
    policy: ImportancePolicy,
    summary: ConversionSummary,
    template: ItemTemplate | None = None,
) -> TrainingInput | None:
    """Grades the shown results of a session by its events, and counts what it did in `summary`.

    Returns None, with a counted reason, for a session that cannot train; given a template, also for one
    that says nothing of an item with text by it.
    """
    reason = _reason_to_skip(session)
    shown = {result.object_id for result in session.results}
    counting = sorted(
        (event for event in session.events if event.object_id in shown),
        key=lambda event: (event.created_at, event.event_id),
    )
    if reason is None and not counting:
        reason = ONLY_UNSHOWN_EVENTS
    results = _graded(session, counting, policy) if reason is None else ()
    if reason is None and template and not has_text(results, [template.render(each.meta) for each in results]):
        reason = NO_TEXT
    _count_ignored(session, summary)
    if reason is not None:
        summary.skip(reason)
        return None
    for event in counting:
        _count_type(summary.graded_events, event.type)
        if not policy.knows(event.type):
            _count_type(summary.unknown_types, event.type)
    summary.session_count += 1
    summary.input_count += 1
    return TrainingInput(
        session_id=session.session_id,
        batch_id=session.batch_id,
        number=session.number,
        query=session.query,
        results=results,
        policy_version=policy.version,
        searched_at=session.searched_at,
    )


def has_text(results: Sequence[GradedResult], texts: Sequence[str]) -> bool:
    """Whether a session says something of an item with text: one acted on or, where nothing was done, one shown."""
    graded = [text for result, text in zip(results, texts, strict=True) if result.grade > 0]
    return any(graded or texts)


def _graded(
    session: SearchSession, counting: Sequence[SessionEvent], policy: ImportancePolicy
) -> tuple[GradedResult, ...]:
    acts: dict[str, list[SessionEvent]] = defaultdict(list)
    for event in counting:
        acts[event.object_id].append(event)
    return tuple(
        GradedResult(
            object_id=result.object_id,
            position=result.position,
            grade=policy.grade([event.type for event in acts.get(result.object_id, ())]),
            event_ids=tuple(event.event_id for event in acts.get(result.object_id, ())),
            meta=result.meta,
        )
        for result in session.results
    )


def _reason_to_skip(session: SearchSession) -> str | None:
    if session.irrelevant:
        return IRRELEVANT
    if session.payload_search:
        return PAYLOAD_SEARCH
    if not session.query.strip():
        return NO_QUERY
    if not session.results:
        return NO_RESULTS
    if not session.events:
        return NO_EVENTS
    return None


def _count_type(counter: Counter[str], event_type: str) -> None:
    known = event_type in counter or len(counter) < COUNTED_TYPES
    counter[event_type if known else OTHER_TYPES] += 1


def _count_ignored(session: SearchSession, summary: ConversionSummary) -> None:
    shown = {result.object_id for result in session.results}
    counts = {
        UNSHOWN_OBJECT: sum(event.object_id not in shown for event in session.events),
        LATE: session.late_events,
        OVER_LIMIT: session.over_limit_events,
    }
    for reason, count in counts.items():
        if count:
            summary.ignored_events[reason] += count
