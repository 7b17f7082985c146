"""The rules that turn a session into a graded training input (R12, R13).

Pure functions: no clock, no I/O, and no session makes them raise.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence, Set

from clickstream.conversion.importance import ImportancePolicy
from clickstream.domain.item_template import ItemTemplate
from clickstream.domain.query_split import normalised
from clickstream.domain.training_inputs import (
    COUNTED_TYPES,
    IRRELEVANT,
    LATE,
    NO_EVENTS,
    NO_QUERY,
    NO_RESULTS,
    NO_TEXT,
    NON_TEXT,
    NON_TEXT_OBJECT,
    ONLY_NON_TEXT,
    ONLY_UNSHOWN_EVENTS,
    OTHER_TYPES,
    OVER_LIMIT,
    PAYLOAD_SEARCH,
    ROBOT,
    UNSHOWN_OBJECT,
    ConversionSummary,
    GradedResult,
    SearchSession,
    SessionEvent,
    ShownResult,
    TrainingInput,
    has_text,
)


def convert(
    session: SearchSession,
    policy: ImportancePolicy,
    summary: ConversionSummary,
    template: ItemTemplate | None = None,
) -> TrainingInput | None:
    """Grades the shown text results of a session by its events.

    Args:
        session: The session.
        policy: The grades of the event types.
        summary: Is brought up to date with what was used and left out.
        template: If given, a session without a usable item text gives no input.

    Returns:
        The input; None for a session that cannot train, with the reason counted in `summary`.
    """
    shown = [result for result in session.results if result.is_text]
    texts = {result.object_id for result in shown}
    others = {result.object_id for result in session.results} - texts
    counting = sorted(
        (event for event in session.events if event.object_id in texts),
        key=lambda event: (event.created_at, event.event_id),
    )
    reason = reason_to_skip(
        irrelevant=session.irrelevant,
        robot=session.robot,
        payload_search=session.payload_search,
        query=normalised(session.query),
        texts=texts,
        others=others,
        acted={event.object_id for event in session.events},
    )
    results = _graded(shown, counting, policy) if reason is None else ()
    if reason is None and template and not has_text(results, [template.render(each.meta) for each in results]):
        reason = NO_TEXT
    _count_ignored(session, texts, others, summary)
    if reason is not None:
        summary.skip(reason)
        return None
    for event in counting:
        _count_type(summary.graded_events, policy.named(event.type))
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


def _graded(
    shown: Sequence[ShownResult], counting: Sequence[SessionEvent], policy: ImportancePolicy
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
        for result in shown
    )


def reason_to_skip(
    *,
    irrelevant: bool,
    robot: bool,
    payload_search: bool,
    query: str,
    texts: Set[str],
    others: Set[str],
    acted: Set[str],
) -> str | None:
    """Why a session gives no input; None if it gives one. Of several reasons, the first counts.

    Args:
        irrelevant: Whether it is marked irrelevant.
        robot: Whether it is a robot's.
        payload_search: Whether it is a payload search.
        query: Its normalised query.
        texts: The objects that it showed as text.
        others: The other objects that it showed.
        acted: The objects of its events.
    """
    if irrelevant:
        return IRRELEVANT
    if payload_search:
        return PAYLOAD_SEARCH
    if not query:
        return NO_QUERY
    if not texts and not others:
        return NO_RESULTS
    if not acted:
        return NO_EVENTS
    if not acted.isdisjoint(texts):
        # Last, so that its count is the number of inputs that robots would have given.
        return ROBOT if robot else None
    return ONLY_UNSHOWN_EVENTS if texts and acted.isdisjoint(others) else ONLY_NON_TEXT


def _count_type(counter: Counter[str], event_type: str) -> None:
    known = event_type in counter or len(counter) < COUNTED_TYPES
    counter[event_type if known else OTHER_TYPES] += 1


def _count_ignored(session: SearchSession, texts: Set[str], others: Set[str], summary: ConversionSummary) -> None:
    if others:
        summary.ignored_results[NON_TEXT] += len(others)
    shown = texts | others
    counts = {
        UNSHOWN_OBJECT: sum(event.object_id not in shown for event in session.events),
        NON_TEXT_OBJECT: sum(event.object_id in others for event in session.events),
        LATE: session.late_events,
        OVER_LIMIT: session.over_limit_events,
    }
    for reason, count in counts.items():
        if count:
            summary.ignored_events[reason] += count
