"""Events in MongoDB, keyed by their session's place.

The key `{batch, number, event_id}` finds duplicates (R2), and is the order in which batch reads and training
read events: those of a page of sessions lie side by side.
"""

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pymongo.errors import BulkWriteError
from typing_extensions import override

from clickstream.dao.interface.sessions import EventDao
from clickstream.dao.mongo.connection import DUPLICATE_KEY, Document, MongoCollection, check_acknowledged, translated
from clickstream.dao.mongo.identity import StoreIdentity
from clickstream.dao.mongo.session_places import Place, Places
from clickstream.dao.mongo.training_pages import TrainingPages, counting
from clickstream.domain import limits
from clickstream.domain.errors import NotFound, Reason, Unavailable
from clickstream.domain.sessions import EventDraft, EventPage, EventPush, SessionEvents, StoredEvent

Key = tuple[int, int, str]
# The fields that readers of sessions need of an event. Decoding one more costs as much as the event itself.
READ_FIELDS = ("payload", "server_time")
# How many events one reply of MongoDB holds: at least this many, and this many per session. One reply then
# suffices for a page whose sessions have some ten events each, and is not much beyond the listing limits where
# events are large.
REPLY_EVENTS = 200
REPLY_EVENTS_PER_SESSION = 20
# Of a session with a few more events than are asked for, the others are read and dropped: a further query
# costs as much as this many events.
READ_PAST = 100
# Seconds between looks for an event whose key is taken but which is not visible: another group's or process's
# write that no majority has acknowledged yet, which takes milliseconds. After the last the caller must try again.
VISIBLE_WAITS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16)


class MongoEvents(EventDao):
    """`EventDao` over `session_events`, with the frozen pages for training."""

    def __init__(self, events: MongoCollection, pages: TrainingPages, places: Places, identity: StoreIdentity) -> None:
        self._events = events
        self._pages = pages
        self._places = places
        self._identity = identity

    @override
    @translated
    def append(self, pushes: Sequence[EventPush]) -> list[list[StoredEvent | None] | Exception]:
        self._identity.confirm()
        losses = self._identity.losses
        places = self._places.of({push.session_id for push in pushes})
        firsts: dict[Key, EventDraft] = {}
        sent = 0
        for session_id, events in pushes:
            if place := places.get(session_id):
                sent += len(events)
                for event in events:
                    firsts.setdefault((*place, event.event_id), event)
        earlier, refused = self._insert(firsts)
        if losses != self._identity.losses:
            self._identity.confirm()
            if self._places.of(places.keys()) != places:
                raise Unavailable(Reason.STORE_UNAVAILABLE, "the store went back to an earlier point meanwhile")
        if sent == len(firsts) and not (earlier or refused):  # the ordinary group, without any retry
            return [_all_new(push) if push.session_id in places else _unknown() for push in pushes]
        return [self._outcomes(push, places.get(push.session_id), firsts, earlier, refused) for push in pushes]

    def _insert(self, events: dict[Key, EventDraft]) -> tuple[dict[Key, StoredEvent], set[Key]]:
        """Inserts events; returns the stored events by the keys that were taken, and the keys that failed otherwise."""
        if not events:
            return {}, set()
        keys = list(events)
        try:
            self._events.insert_many([event_document(key, event) for key, event in events.items()], ordered=False)
        except BulkWriteError as error:
            check_acknowledged(error.details)
            failures = error.details["writeErrors"]
            taken = [keys[failure["index"]] for failure in failures if failure["code"] == DUPLICATE_KEY]
            refused = {keys[failure["index"]] for failure in failures if failure["code"] != DUPLICATE_KEY}
            earlier = self._visible(taken)
            return earlier, refused.union(key for key in taken if key not in earlier)
        return {}, set()

    def _visible(self, keys: list[Key]) -> dict[Key, StoredEvent]:
        """The stored events with these keys; waits up to 0.3 s for writes that are still being acknowledged."""
        earlier = self._stored(keys)
        for seconds in VISIBLE_WAITS:
            missing = [key for key in keys if key not in earlier]
            if not missing:
                break
            time.sleep(seconds)
            earlier |= self._stored(missing)
        return earlier

    def _stored(self, keys: list[Key]) -> dict[Key, StoredEvent]:
        """The stored events with these keys, by one range read per session.

        The query has bounds beside `$in`: by `$in` alone MongoDB 6 scans the whole clustered collection.
        """
        earlier = {}
        for _, of_session in itertools.groupby(sorted(keys), key=lambda key: key[:2]):
            wanted = [_key_document(key) for key in of_session]
            for document in self._events.find({"_id": {"$gte": wanted[0], "$lte": wanted[-1], "$in": wanted}}):
                earlier[_key(document)] = _event(document)
        return earlier

    @staticmethod
    def _outcomes(
        push: EventPush,
        place: Place | None,
        firsts: dict[Key, EventDraft],
        earlier: dict[Key, StoredEvent],
        refused: set[Key],
    ) -> list[StoredEvent | None] | Exception:
        if place is None:
            return _unknown()
        outcomes: list[StoredEvent | None] = []
        for event in push.events:
            key = (*place, event.event_id)
            if key in refused:
                return Unavailable(Reason.STORE_UNAVAILABLE, "the store refused an event")
            first = firsts[key]
            known = earlier.get(key)
            if known is None and event is not first:
                known = StoredEvent(place[1], first.event_id, first.server_time, first.payload)
            outcomes.append(known)
        return outcomes

    @override
    @translated
    def of_sessions(self, batch: int, first: int, last: int, limit: int | None = None) -> EventPage:
        found: dict[int, SessionEvents] = {}
        size = 0
        if limit is None or limit >= limits.LISTED_EVENTS:
            sessions = self._listed(batch, first, last)
        else:
            sessions = self._first_listed(batch, first, last, limit)
        for number, listed in sessions:
            size += sum(len(event.payload) for event in listed.events)
            if found and size > limits.PAGE_BYTES:
                return EventPage(found, number - 1)
            found[number] = listed
        return EventPage(found, last)

    @override
    @translated
    def has_any(self, batch: int, number: int) -> bool:
        return self._events.find_one({"_id": _range(batch, number, number)}, {"_id": 1}) is not None

    @override
    @translated
    def frozen(
        self, batch: int, first: int, last: int, run_id: str = ""
    ) -> tuple[dict[int, SessionEvents], frozenset[int]]:
        page_key: Document = {"batch": batch, "first": first, "last": last}
        if run_id:
            page_key["run_id"] = run_id
        page = self._pages.find(page_key) or self._pages.freeze(page_key, self._listed(batch, first, last))
        return counting(page, self._by_session(batch, first, last))

    def _by_session(
        self, batch: int, first: int, last: int, count: int = 0
    ) -> Iterator[tuple[int, Iterator[StoredEvent]]]:
        """The sessions with events, by number, each with its events by id, from one range read.

        The read ends after `count` events; 0 means that it does not.
        """
        query = {"_id": _range(batch, first, last)}
        size = max(REPLY_EVENTS, REPLY_EVENTS_PER_SESSION * (last - first + 1))
        with self._events.find(query, READ_FIELDS, sort=[("_id", 1)], batch_size=size, limit=count) as found:
            events = (_event(document) for document in found)
            yield from itertools.groupby(events, key=lambda event: event.number)

    def _first_listed(self, batch: int, first: int, last: int, limit: int) -> Iterator[tuple[int, SessionEvents]]:
        """Sessions with events, by number, each with its first `limit` events within the listing limits.

        The server counts the events of every session first, so that only those few that are listed are read.
        """
        counts = self._counts(batch, first, last)
        if not limit:
            yield from ((number, SessionEvents(omitted=count)) for number, count in counts.items())
            return
        for numbers, count in _reads(counts, limit):
            for number, events in self._by_session(batch, numbers[0], numbers[-1], count):
                listed, _ = _within_limits(events, limit)
                yield number, SessionEvents(listed, max(0, counts.get(number, 0) - len(listed)))
                numbers = [each for each in numbers if each > number]
            # Events that were stored since the count can take the place of the last ones in the read.
            yield from ((number, SessionEvents(omitted=counts[number])) for number in numbers)

    def _counts(self, batch: int, first: int, last: int) -> dict[int, int]:
        """The number of events of each session that has any, by session number."""
        in_range: Document = {"$match": {"_id": _range(batch, first, last)}}
        counting: Document = {"$group": {"_id": "$_id.number", "count": {"$sum": 1}}}
        found = {each["_id"]: each["count"] for each in self._events.aggregate([in_range, counting])}
        return dict(sorted(found.items()))

    def _listed(self, batch: int, first: int, last: int) -> Iterator[tuple[int, SessionEvents]]:
        """The sessions with events, by number, each with its events within the listing limits.

        The server counts a session's further events, and reading goes on behind them.
        """
        while first <= last:
            for number, events in self._by_session(batch, first, last):
                listed, beyond = _within_limits(events, limits.LISTED_EVENTS)
                yield number, SessionEvents(listed, self._count_from(batch, beyond) if beyond else 0)
                if beyond:
                    first = number + 1
                    break
            else:
                return

    def _count_from(self, batch: int, event: StoredEvent) -> int:
        """The number of events that the event's session has from this one on."""
        key = _key_document((batch, event.number, event.event_id))
        return self._events.count_documents({"_id": _range(batch, event.number, event.number) | {"$gte": key}})


def _range(batch: int, first: int, last: int) -> Document:
    """The condition on `_id` that selects the events of these sessions."""
    return {"$gte": {"batch": batch, "number": first}, "$lt": {"batch": batch, "number": last + 1}}


def _reads(counts: Mapping[int, int], limit: int) -> Iterator[tuple[list[int], int]]:
    """The range reads that find the first `limit` events of every session, given how many each has.

    A read goes through the sessions of its list, and ends within the last of them if that has many more events
    than `limit`.

    Yields:
        Session numbers, and the number of events to read.
    """
    numbers: list[int] = []
    events = 0
    for number, count in counts.items():
        numbers.append(number)
        if count > limit + READ_PAST:
            yield numbers, events + limit
            numbers, events = [], 0
        else:
            events += count
    if numbers:
        yield numbers, events


def _within_limits(events: Iterable[StoredEvent], limit: int) -> tuple[list[StoredEvent], StoredEvent | None]:
    """The first events of a session, at most `limit` and within the listing limit in bytes, and the next one."""
    kept: list[StoredEvent] = []
    size = 0
    for event in events:
        size += len(event.payload)
        if len(kept) == limit or size > limits.LISTED_EVENT_BYTES:
            return kept, event
        kept.append(event)
    return kept, None


def _all_new(push: EventPush) -> list[StoredEvent | None] | Exception:
    return [None] * len(push.events)


def _unknown() -> NotFound:
    return NotFound(Reason.SESSION_NOT_FOUND, "no session has this id; nothing was stored")


def _key_document(key: Key) -> dict[str, Any]:
    return {"batch": key[0], "number": key[1], "event_id": key[2]}


def _key(document: Document) -> Key:
    key = document["_id"]
    return key["batch"], key["number"], key["event_id"]


def event_document(key: Key, event: EventDraft) -> Document:
    """The document of an event."""
    document: Document = {
        "_id": _key_document(key),
        "type": event.type,
        "created_at": event.created_at,
        "payload": event.payload,
    }
    if event.server_time:
        document["server_time"] = True
    return document


def _event(document: Document) -> StoredEvent:
    key = document["_id"]
    return StoredEvent(key["number"], key["event_id"], document.get("server_time", False), bytes(document["payload"]))
