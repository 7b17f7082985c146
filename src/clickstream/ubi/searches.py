"""Rebuilds sessions from UBI records, without I/O; documents that cannot be sent go into the account.

Lines with the same `query_id` are one search, because people type on under one id:

- Its query is the text of one query line: the one whose text has the most acts; of equals the one with the most hits;
  of equals the latest. Without a query line it is the `user_query` of its events, otherwise the latest typed text of
  its `search` events.
- Its results are the hit ids of its query lines in order of time (pages follow each other), and then the impressions
  that no hit list names. Hits take the positions 0, 1, 2 …; such an impression takes its `ordinal`, or the next free
  position if that is taken or missing.
- An item's text is that of the first event in the file that has one, in any search: hit lists have ids only.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from clickstream.domain import limits
from clickstream.ubi.account import ACTS, DocumentOutcome, ImportAccount
from clickstream.ubi.records import QUERY, EventLine, QueryLine, Unread

IMPRESSION = "impression"

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
# An ordinal from here on counts as missing, so that every further result gets a position within the limit.
_LARGEST_ORDINAL = limits.POSITION - limits.RESULTS_PER_SESSION

# UBI action to event type. An action that is in neither table and names an object is sent under its own name; the
# importance policy gives its grade.
EVENT_TYPES: Mapping[str, str] = {
    "impression": IMPRESSION,
    "click": "click",
    "add_to_cart": "add_to_cart",
    "purchase": "purchase",
    # Hovers and refusals are other evidence than a click, so they are types of their own.
    "item_click": "item_click",
    "product_hover": "product_hover",
    "declined_product": "declined_product",
}

# Actions that are not an act on one result, even if they name an object; with the reason for the account.
NO_ACTS: Mapping[str, str] = {
    "search": "the search itself",
    "on_search": "the search itself",
    "view_search_results": "a view of the whole result page",
    "type_filter": "a filter or sort order",
    "brand_filter": "a filter or sort order",
    "product_sort": "a filter or sort order",
    "global_click": "a click beside the results",
    "page_exit": "a step from page to page",
    "404_redirect": "a step from page to page",
}


@dataclass(frozen=True, slots=True)
class ShownItem:
    """One shown item: its 0-based position, and its texts in the file."""

    object_id: str
    position: int
    meta: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Act:
    """One event to send, with the kind and the 1-based line of its document."""

    event_id: str
    object_id: str
    type: str
    created_at: datetime
    ordinal: int | None
    kind: str
    line: int


@dataclass(frozen=True, slots=True)
class RebuiltSession:
    """One search as it follows from the file; `query_lines` are the 1-based lines of its query documents."""

    session_id: str
    query: str
    shown: Sequence[ShownItem]
    context: Mapping[str, str]
    user_id: str
    created_at: datetime
    acts: Sequence[Act]
    query_lines: Sequence[int]


@dataclass(slots=True)
class _Search:
    queries: list[QueryLine] = field(default_factory=list)
    events: list[EventLine] = field(default_factory=list)
    typed: list[EventLine] = field(default_factory=list)


def rebuild(records: Iterable[QueryLine | EventLine | Unread], account: ImportAccount) -> Iterator[RebuiltSession]:
    """Yields the sessions in the order in which the file first names them.

    A document that is part of no session goes into the account here. All others go there when their session is sent.
    """
    searches: dict[str, _Search] = {}
    items: dict[str, Mapping[str, str]] = {}
    for record in records:
        account.documents += 1
        if isinstance(record, Unread):
            outcome = {"same": DocumentOutcome.DUPLICATE, "other": DocumentOutcome.CONFLICT}.get(
                record.repeated, DocumentOutcome.REJECTED
            )
            account.add(outcome, record.reason, record.kind, record.line)
        elif isinstance(record, QueryLine):
            searches.setdefault(record.query_id, _Search()).queries.append(record)
        else:
            _assign_event(record, searches, account)
            if record.object_id and record.item:
                items.setdefault(record.object_id, record.item)
    for query_id, search in searches.items():
        if search.queries or search.events:
            session = _rebuild(query_id, search, items, account)
            if session is not None:
                yield session


def _assign_event(event: EventLine, searches: dict[str, _Search], account: ImportAccount) -> None:
    if event.query_id and event.typed:
        searches.setdefault(event.query_id, _Search()).typed.append(event)
    if event.action in NO_ACTS:
        account.add(
            DocumentOutcome.LEFT_OUT, f"no act on one result: {NO_ACTS[event.action]}", event.action, event.line
        )
    elif not event.query_id:
        account.add(DocumentOutcome.REJECTED, "no query_id", event.action, event.line)
    elif not event.object_id:
        account.add(DocumentOutcome.REJECTED, "no object_id", event.action, event.line)
    else:
        searches.setdefault(event.query_id, _Search()).events.append(event)


def _rebuild(
    query_id: str, search: _Search, items: Mapping[str, Mapping[str, str]], account: ImportAccount
) -> RebuiltSession | None:
    # Sorting is stable: lines of one time keep the file's order.
    queries = sorted(search.queries, key=lambda line: line.at or _LAST)
    times = [line.at for line in queries if line.at] or [event.at for event in search.events if event.at]
    if not times:
        reason = "no readable timestamp in its whole search"
        for query in queries:
            account.add(DocumentOutcome.REJECTED, reason, QUERY, query.line)
        for event in search.events:
            account.add(DocumentOutcome.REJECTED, reason, event.action, event.line)
        return None
    created_at = min(times)
    lines: list[QueryLine | EventLine] = [*queries, *search.events]
    positions = _positions(queries, search.events)
    kept = {object_id: at for object_id, at in positions.items() if len(object_id) <= limits.ID_CHARACTERS}
    kept = dict(islice(kept.items(), limits.RESULTS_PER_SESSION))
    account.results_left_out += len(positions) - len(kept)
    return RebuiltSession(
        session_id=query_id,
        query=_query_text(queries, search),
        shown=[ShownItem(object_id, position, items.get(object_id, {})) for object_id, position in kept.items()],
        context={"source": "ubi", "application": next((line.application for line in lines if line.application), "")},
        user_id=next((line.user_id for line in lines if line.user_id), ""),
        created_at=created_at,
        acts=[
            Act(
                event_id=event.event_id,
                object_id=event.object_id,
                type=EVENT_TYPES.get(event.action, event.action),
                created_at=event.at or created_at,
                ordinal=event.ordinal,
                kind=event.action,
                line=event.line,
            )
            for event in search.events
        ],
        query_lines=[line.line for line in search.queries],
    )


def _query_text(queries: Sequence[QueryLine], search: _Search) -> str:
    """The query text of a search, empty if the file has none; `queries` are in order of time."""
    acts = Counter(event.text for event in search.events if event.action in ACTS)
    if queries:
        # `max` returns the first of equals: in reversed order that is the latest.
        best = max(reversed(queries), key=lambda line: (bool(line.text), acts[line.text], len(line.hit_ids)))
        if best.text:
            return best.text
    texts = Counter(event.text for event in search.events if event.text)
    if texts:
        return max(texts, key=lambda text: (acts[text], texts[text], text))
    return max(search.typed, key=lambda event: (event.at or _EARLIEST, event.line)).typed if search.typed else ""


def _positions(queries: Sequence[QueryLine], events: Sequence[EventLine]) -> dict[str, int]:
    """The 0-based position of each shown object id, in rising order."""
    hits = dict.fromkeys(hit for line in queries for hit in line.hit_ids)
    positions = {object_id: position for position, object_id in enumerate(hits)}
    extra: dict[str, int] = {}
    for event in events:
        if event.action == IMPRESSION and event.object_id not in positions:
            ordinal = (
                event.ordinal if event.ordinal is not None and event.ordinal <= _LARGEST_ORDINAL else _LARGEST_ORDINAL
            )
            extra[event.object_id] = min(ordinal, extra.get(event.object_id, ordinal))
    free = len(positions)
    # Sorting is stable: equal and missing ordinals keep the file's order.
    for object_id, ordinal in sorted(extra.items(), key=lambda item: item[1]):
        positions[object_id] = free if ordinal == _LARGEST_ORDINAL else max(free, ordinal)
        free = positions[object_id] + 1
    return positions
