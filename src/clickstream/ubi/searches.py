"""UBI records → the sessions that they tell of. Pure; what cannot be sent goes into the account.

Lines with one `query_id` are one search:

- Its query is the text under which most of its acts happened, then that of the line with most
  hits, then the latest (people type on under one id). Without a query line the events'
  `user_query` counts, else the latest typed text of its `search` events.
- What was shown is the union of the hit ids, in order of time (pages follow each other), and of
  the impressions that no hit list names. Hits take the places 0, 1, 2 …; such an impression
  takes its `ordinal`, or the next free place where that is taken or missing.
- An item's text is what the file's first event with a text says of it, in whatever search: hit
  lists carry ids alone.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from clickstream.domain import limits
from clickstream.ubi.account import ACTS, Account, Outcome
from clickstream.ubi.records import QUERY, EventLine, QueryLine, Unread

IMPRESSION = "impression"

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
# An ordinal beyond this is dirt; there is room behind it for all further results.
_ORDINAL = limits.POSITION - limits.RESULTS_PER_SESSION

# UBI action → our event type. An action that is in neither table and names an object is sent
# under its own name; the importance policy says what it counts.
EVENT_TYPES: Mapping[str, str] = {
    "impression": IMPRESSION,
    "click": "click",
    "add_to_cart": "add_to_cart",
    "purchase": "purchase",
    # Looks and refusals: evidence of another kind than a click, so types of their own.
    "item_click": "item_click",
    "product_hover": "product_hover",
    "declined_product": "declined_product",
}

# Actions that are no act on one result, whatever object they name.
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
    """One shown item: its 0-based place and what the file tells about it."""

    object_id: str
    position: int
    meta: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Act:
    """One event to send, and the document it came from."""

    event_id: str
    object_id: str
    type: str
    created_at: datetime
    ordinal: int | None
    kind: str
    line: int


@dataclass(frozen=True, slots=True)
class RebuiltSession:
    """One search as the file tells it; `query_lines` are the 1-based lines of its query documents."""

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


def rebuild(records: Iterable[QueryLine | EventLine | Unread], account: Account) -> Iterator[RebuiltSession]:
    """Yields the sessions in the order in which the file first names them.

    Every document that no session carries is put into the account here; the others are put
    there by whoever sends the session.
    """
    searches: dict[str, _Search] = {}
    items: dict[str, Mapping[str, str]] = {}
    for record in records:
        account.documents += 1
        if isinstance(record, Unread):
            outcome = {"same": Outcome.DUPLICATE, "other": Outcome.CONFLICT}.get(record.repeated, Outcome.REJECTED)
            account.add(outcome, record.reason, record.kind, record.line)
        elif isinstance(record, QueryLine):
            searches.setdefault(record.query_id, _Search()).queries.append(record)
        else:
            _sort_event(record, searches, account)
            if record.object_id and record.item:
                items.setdefault(record.object_id, record.item)
    for query_id, search in searches.items():
        if search.queries or search.events:
            session = _rebuild(query_id, search, items, account)
            if session is not None:
                yield session


def _sort_event(event: EventLine, searches: dict[str, _Search], account: Account) -> None:
    if event.query_id and event.typed:
        searches.setdefault(event.query_id, _Search()).typed.append(event)
    if event.action in NO_ACTS:
        account.add(Outcome.LEFT_OUT, f"no act on one result: {NO_ACTS[event.action]}", event.action, event.line)
    elif not event.query_id:
        account.add(Outcome.REJECTED, "no query_id", event.action, event.line)
    elif not event.object_id:
        account.add(Outcome.REJECTED, "no object_id", event.action, event.line)
    else:
        searches.setdefault(event.query_id, _Search()).events.append(event)


def _rebuild(
    query_id: str, search: _Search, items: Mapping[str, Mapping[str, str]], account: Account
) -> RebuiltSession | None:
    # Sorting is stable: lines of one time keep the file's order.
    queries = sorted(search.queries, key=lambda line: line.at or _LAST)
    times = [line.at for line in queries if line.at] or [event.at for event in search.events if event.at]
    if not times:
        reason = "no readable timestamp in its whole search"
        for query in queries:
            account.add(Outcome.REJECTED, reason, QUERY, query.line)
        for event in search.events:
            account.add(Outcome.REJECTED, reason, event.action, event.line)
        return None
    created_at = min(times)
    told: list[QueryLine | EventLine] = [*queries, *search.events]
    shown = _shown(queries, search.events)
    return RebuiltSession(
        session_id=query_id,
        query=_query_text(queries, search),
        shown=[ShownItem(object_id, place, items.get(object_id, {})) for object_id, place in shown.items()],
        context={"source": "ubi", "application": next((line.application for line in told if line.application), "")},
        user_id=next((line.user_id for line in told if line.user_id), ""),
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
    """The one text of a search; `queries` by time. Empty if the file names none."""
    acts = Counter(event.text for event in search.events if event.action in ACTS)
    if queries:
        # `max` keeps the first of equals, hence the reversed order: the latest.
        best = max(reversed(queries), key=lambda line: (bool(line.text), acts[line.text], len(line.hit_ids)))
        if best.text:
            return best.text
    texts = Counter(event.text for event in search.events if event.text)
    if texts:
        return max(texts, key=lambda text: (acts[text], texts[text], text))
    return max(search.typed, key=lambda event: (event.at or _EARLIEST, event.line)).typed if search.typed else ""


def _shown(queries: Sequence[QueryLine], events: Sequence[EventLine]) -> dict[str, int]:
    """Object id → 0-based place, in rising order of the places."""
    hits = dict.fromkeys(hit for line in queries for hit in line.hit_ids)
    places = {object_id: place for place, object_id in enumerate(hits)}
    extra: dict[str, int] = {}
    for event in events:
        if event.action == IMPRESSION and event.object_id not in places:
            ordinal = event.ordinal if event.ordinal is not None and event.ordinal <= _ORDINAL else _ORDINAL
            extra[event.object_id] = min(ordinal, extra.get(event.object_id, ordinal))
    free = len(places)
    # Sorting is stable: equal and missing ordinals keep the file's order.
    for object_id, ordinal in sorted(extra.items(), key=lambda item: item[1]):
        places[object_id] = free if ordinal == _ORDINAL else max(free, ordinal)
        free = places[object_id] + 1
    return places
