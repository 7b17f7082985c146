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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from embedding_studio.clickstream.v1 import session_pb2 as wire

from clickstream.domain import limits
from clickstream.transfer.account import ACTS, DocumentOutcome
from clickstream.transfer.sender import Act, Outgoing
from clickstream.ubi.records import QUERY, EventLine, QueryLine

IMPRESSION = "impression"

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
# An ordinal from here on counts as missing, so that every further result gets a position within the limit.
_LARGEST_ORDINAL = limits.POSITION - limits.RESULTS_PER_SESSION

# Why a part of a search is left out.
_LONG_ID = f"an object_id of more than {limits.ID_CHARACTERS} characters"
_BEYOND = f"a shown result beyond the first {limits.RESULTS_PER_SESSION:,} of its search"
_BEYOND_BYTES = f"a shown result beyond the {limits.SESSION_BYTES // 2**20} MiB of a search"

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


@dataclass(slots=True)
class Documents:
    """The documents of one search in the order of the files, and those that are part of none."""

    query_id: str
    place: int
    queries: list[QueryLine] = field(default_factory=list)
    events: list[EventLine] = field(default_factory=list)
    typed: list[EventLine] = field(default_factory=list)
    decided: list[tuple[DocumentOutcome, str, str, int]] = field(default_factory=list)
    cut: Counter[str] = field(default_factory=Counter)

    def add(self, record: QueryLine | EventLine, same: bool | None = None) -> None:
        """Takes a document in; `same` is set if a document with the same id came before, of the same content or not."""
        kind = QUERY if isinstance(record, QueryLine) else record.action
        if same is not None:
            outcome = DocumentOutcome.DUPLICATE if same else DocumentOutcome.CONFLICT
            content = "same" if same else "other"
            reason = f"a document with the same id and {content} content came before"
            self.decided.append((outcome, reason, kind, record.line))
        elif isinstance(record, QueryLine):
            self.queries.append(record)
        else:
            self._add_event(record)

    def _add_event(self, event: EventLine) -> None:
        if event.query_id and event.typed:
            self.typed.append(event)
        if event.action in NO_ACTS:
            reason = f"no act on one result: {NO_ACTS[event.action]}"
            self.decided.append((DocumentOutcome.LEFT_OUT, reason, event.action, event.line))
        elif why := _unusable(event):
            self.decided.append((DocumentOutcome.REJECTED, why, event.action, event.line))
        else:
            self.events.append(event)


def _unusable(event: EventLine) -> str:
    if not event.query_id:
        return "no query_id"
    if not event.object_id:
        return "no object_id"
    return "" if len(event.object_id) <= limits.ID_CHARACTERS else _LONG_ID


def shown_ids(search: Documents) -> Iterable[str]:
    """The ids of the objects whose texts `rebuild` asks for."""
    yield from (hit for line in search.queries for hit in line.hit_ids)
    yield from (event.object_id for event in search.events)
    yield from (event.internal_id for event in search.events if event.internal_id)


def rebuild(
    search: Documents, items: Mapping[str, Mapping[str, str]], unreadable: int = 0, mark: str = "ubi"
) -> Outgoing:
    """Makes of the documents of one search what is sent.

    Args:
        search: The documents.
        items: The texts of items by object id.
        unreadable: The number of documents that could not be read: one of them may be the query of this search.
        mark: The value of `source` in the session's context.
    """
    outgoing = Outgoing(search.place, search.query_id, decided=search.decided, cut=search.cut)
    if not search.queries and not search.events:
        return outgoing
    # Sorting is stable: lines of one time keep the files' order.
    queries = sorted(search.queries, key=lambda line: line.at or _LAST)
    times = [line.at for line in queries if line.at] or [event.at for event in search.events if event.at]
    if not times:
        return _all_rejected(outgoing, search, "no readable timestamp in its whole search")
    created_at = min(times)
    hits = _hits(queries, search.cut)
    object_ids = [_object_id(event, hits) for event in search.events]
    positions = _positions(hits, search.events, object_ids, search.cut)
    outgoing.acts = [
        _act(event, object_id, created_at) for event, object_id in zip(search.events, object_ids, strict=True)
    ]
    if not queries:
        if unreadable:
            why = "its query document is missing, and may be among those that cannot be read: mend the file"
            return _all_rejected(outgoing, search, why)
        if not positions:
            # The service may have the search already: an export of events often comes after one of queries.
            return outgoing
    lines: list[QueryLine | EventLine] = [*queries, *search.events]
    session = wire.Session(
        session_id=search.query_id,
        query=_query_text(queries, search),
        user_id=next((line.user_id for line in lines if line.user_id), ""),
    )
    session.created_at.FromDatetime(created_at)
    context = session.context.fields
    context["source"].string_value = mark
    context["application"].string_value = next((line.application for line in lines if line.application), "")
    _show(session, positions, items, search.cut)
    outgoing.session = session
    outgoing.documents = [(QUERY, line.line) for line in search.queries]
    return outgoing


def _all_rejected(outgoing: Outgoing, search: Documents, reason: str) -> Outgoing:
    outgoing.acts = []
    rejected = [(DocumentOutcome.REJECTED, reason, QUERY, query.line) for query in search.queries]
    rejected += [(DocumentOutcome.REJECTED, reason, event.action, event.line) for event in search.events]
    outgoing.decided = [*outgoing.decided, *rejected]
    return outgoing


def _object_id(event: EventLine, hits: Mapping[str, int]) -> str:
    """The id by which the hit list names the object: some shops write their own key into one and not the other."""
    if event.object_id not in hits and event.internal_id in hits:
        return event.internal_id
    return event.object_id


def _act(event: EventLine, object_id: str, created_at: datetime) -> Act:
    message = wire.Event(event_id=event.event_id, object_id=object_id, type=EVENT_TYPES.get(event.action, event.action))
    message.created_at.FromDatetime(event.at or created_at)
    if event.ordinal is not None:
        message.meta.fields["ordinal"].number_value = event.ordinal
    return Act(message, event.action, event.line)


def _show(
    session: wire.Session,
    positions: Mapping[str, int],
    items: Mapping[str, Mapping[str, str]],
    cut: Counter[str],
) -> None:
    """Adds the shown results, as many as fit one session."""
    for object_id, position in positions.items():
        result = session.results.add(object_id=object_id, position=position)
        for key, text in items.get(object_id, {}).items():
            result.meta.fields[key].string_value = text
    while session.ByteSize() > limits.SESSION_BYTES and session.results:
        too_many = max(1, len(session.results) // 20)
        del session.results[-too_many:]
        cut[_BEYOND_BYTES] += too_many


def _query_text(queries: Sequence[QueryLine], search: Documents) -> str:
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


def _hits(queries: Sequence[QueryLine], cut: Counter[str]) -> dict[str, int]:
    """The 0-based position of each hit that fits the contract."""
    hits: dict[str, int] = {}
    for hit in dict.fromkeys(hit for line in queries for hit in line.hit_ids):
        if len(hit) > limits.ID_CHARACTERS:
            cut[_LONG_ID] += 1
        elif len(hits) == limits.RESULTS_PER_SESSION:
            cut[_BEYOND] += 1
        else:
            hits[hit] = len(hits)
    return hits


def _positions(
    hits: Mapping[str, int], events: Sequence[EventLine], object_ids: Sequence[str], cut: Counter[str]
) -> dict[str, int]:
    """The 0-based position of each shown object id, in rising order."""
    positions = dict(hits)
    extra: dict[str, int] = {}
    for event, object_id in zip(events, object_ids, strict=True):
        if event.action == IMPRESSION and object_id not in positions:
            ordinal = (
                event.ordinal if event.ordinal is not None and event.ordinal <= _LARGEST_ORDINAL else _LARGEST_ORDINAL
            )
            extra[object_id] = min(ordinal, extra.get(object_id, ordinal))
    free = len(positions)
    # Sorting is stable: equal and missing ordinals keep the files' order.
    for object_id, ordinal in sorted(extra.items(), key=lambda item: item[1]):
        if len(positions) == limits.RESULTS_PER_SESSION:
            cut[_BEYOND] += 1
            continue
        positions[object_id] = free if ordinal == _LARGEST_ORDINAL else max(free, ordinal)
        free = positions[object_id] + 1
    return positions
