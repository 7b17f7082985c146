"""Events in MongoDB, keyed by their session's place.

The key `{batch, number, event_id}` is at once the deduplication (R2), and the order in which
batch reads and training want events: those of a page of sessions lie side by side.
"""

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

from bson import Binary
from pymongo.errors import BulkWriteError, DuplicateKeyError

from clickstream.dao.mongo.connection import DUPLICATE_KEY, Document, MongoCollection, check_acknowledged, translated
from clickstream.dao.mongo.session_places import Place, Places
from clickstream.domain import limits
from clickstream.domain.errors import NotFound, Reason, Unavailable
from clickstream.domain.sessions import EventDraft, EventPage, EventPush, SessionEvents, StoredEvent

Key = tuple[int, int, str]
DIGEST_BYTES = 8
# What a reader of sessions wants of an event; each further field costs as much as the event itself.
READ_FIELDS = ("payload", "server_time")
# How many events one reply of MongoDB's holds, at least and per session: all of a page where sessions
# have some ten each, and not much beyond the listing limits where events are large.
REPLY_EVENTS = 200
REPLY_EVENTS_PER_SESSION = 20
# A key can be taken by another group or process whose write no majority has acknowledged yet, which
# takes milliseconds. Beyond this, in seconds, the caller is told to try again.
HOLDER_WAITS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16)


class MongoEvents:
    """`EventDao` over `session_events`; `training_pages` holds what the first training read saw."""

    def __init__(
        self, events: MongoCollection, sessions: MongoCollection, pages: MongoCollection, places: Places
    ) -> None:
        self._events = events
        self._sessions = sessions
        self._places = places
        self._pages = pages

    @translated
    def append(self, pushes: Sequence[EventPush]) -> list[list[StoredEvent | None] | Exception]:
        """See `EventDao`."""
        places = self._places.of({push.session_id for push in pushes})
        firsts: dict[Key, EventDraft] = {}
        sent = 0
        for session_id, events in pushes:
            if place := places.get(session_id):
                sent += len(events)
                for event in events:
                    firsts.setdefault((*place, event.event_id), event)
        holders, refused = self._insert(firsts)
        if sent == len(firsts) and not (holders or refused):  # the ordinary group, without any retry
            return [_all_new(push) if push.session_id in places else _unknown() for push in pushes]
        return [self._outcomes(push, places.get(push.session_id), firsts, holders, refused) for push in pushes]

    def _insert(self, events: dict[Key, EventDraft]) -> tuple[dict[Key, StoredEvent], set[Key]]:
        """Inserts events; returns the stored ones whose keys were taken, and the keys that failed otherwise."""
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
            holders = self._visible_holders(taken)
            return holders, refused.union(key for key in taken if key not in holders)
        return {}, set()

    def _visible_holders(self, keys: list[Key]) -> dict[Key, StoredEvent]:
        """The stored events with these keys; waits a moment for those of a write that is still being acknowledged."""
        holders = self._holders(keys)
        for seconds in HOLDER_WAITS:
            missing = [key for key in keys if key not in holders]
            if not missing:
                break
            time.sleep(seconds)
            holders |= self._holders(missing)
        return holders

    def _holders(self, keys: list[Key]) -> dict[Key, StoredEvent]:
        """The stored events with these keys, by one range read per session.

        The bounds are what finds them: by `$in` alone MongoDB 6 scans the whole clustered collection.
        """
        holders = {}
        for _, of_session in itertools.groupby(sorted(keys), key=lambda key: key[:2]):
            wanted = [_key_document(key) for key in of_session]
            for document in self._events.find({"_id": {"$gte": wanted[0], "$lte": wanted[-1], "$in": wanted}}):
                holders[_key(document)] = _event(document)
        return holders

    @staticmethod
    def _outcomes(
        push: EventPush,
        place: Place | None,
        firsts: dict[Key, EventDraft],
        holders: dict[Key, StoredEvent],
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
            holder = holders.get(key)
            if holder is None and event is not first:
                holder = StoredEvent(place[1], first.event_id, first.server_time, first.payload)
            outcomes.append(holder)
        return outcomes

    @translated
    def of_sessions(self, batch: int, first: int, last: int) -> EventPage:
        """See `EventDao`."""
        found: dict[int, SessionEvents] = {}
        size = 0
        for number, listed in self._listed(batch, first, last):
            size += sum(len(event.payload) for event in listed.events)
            if found and size > limits.PAGE_BYTES:
                return EventPage(found, number - 1)
            found[number] = listed
        return EventPage(found, last)

    @translated
    def has_any(self, batch: int, number: int) -> bool:
        """See `EventDao`."""
        return self._events.find_one({"_id": _range(batch, number, number)}, {"_id": 1}) is not None

    @translated
    def frozen(
        self, batch: int, first: int, last: int, run_id: str = ""
    ) -> tuple[dict[int, SessionEvents], frozenset[int]]:
        """See `EventDao`."""
        page_key: Document = {"batch": batch, "first": first, "last": last}
        if run_id:
            page_key["run_id"] = run_id
        page = self._pages.find_one({"_id": page_key}) or self._freeze(page_key)
        digests = bytes(page["events"])
        counting = {digests[index : index + DIGEST_BYTES] for index in range(0, len(digests), DIGEST_BYTES)}
        over_limit = {int(number): count for number, count in page["over_limit"].items()}
        found = {}
        for number, events in self._by_session(batch, first, last):
            kept, others = [], 0
            for event in events:
                if _digest(number, event.event_id) in counting:
                    kept.append(event)
                else:
                    others += 1
            omitted = over_limit.get(number, 0)
            found[number] = SessionEvents(kept, omitted=omitted, late=others - omitted)
        return found, frozenset(page["irrelevant"])

    def _freeze(self, page_key: Document) -> Document:
        """Writes down, once and for ever, which events and marks of a page count for training (R14).

        Of two processes that do it at the same time the first wins, and both go by its page.
        """
        digests, over_limit = bytearray(), {}
        for number, listed in self._listed(page_key["batch"], page_key["first"], page_key["last"]):
            for event in listed.events:
                digests += _digest(number, event.event_id)
            if listed.omitted:
                over_limit[str(number)] = listed.omitted
        marked = self._sessions.find(
            {
                "batch": page_key["batch"],
                "number": {"$gte": page_key["first"], "$lte": page_key["last"]},
                "irrelevant_at": {"$ne": None},
            },
            {"number": 1},
        )
        page = {
            "_id": page_key,
            "events": Binary(bytes(digests)),
            "over_limit": over_limit,
            "irrelevant": sorted(document["number"] for document in marked),
        }
        try:
            self._pages.insert_one(page)
        except DuplicateKeyError:
            return self._pages.find_one({"_id": page_key}) or page
        return page

    def _by_session(self, batch: int, first: int, last: int) -> Iterator[tuple[int, Iterator[StoredEvent]]]:
        """Sessions with events, by number, each with its events by id, from one range read."""
        query = {"_id": _range(batch, first, last)}
        size = max(REPLY_EVENTS, REPLY_EVENTS_PER_SESSION * (last - first + 1))
        with self._events.find(query, READ_FIELDS, sort=[("_id", 1)], batch_size=size) as found:
            events = (_event(document) for document in found)
            yield from itertools.groupby(events, key=lambda event: event.number)

    def _listed(self, batch: int, first: int, last: int) -> Iterator[tuple[int, SessionEvents]]:
        """The same within the listing limits.

        What a session has beyond them is counted by the server, and reading goes on behind it.
        """
        while first <= last:
            for number, events in self._by_session(batch, first, last):
                listed, beyond = _within_limits(events)
                yield number, SessionEvents(listed, self._count_from(batch, beyond) if beyond else 0)
                if beyond:
                    first = number + 1
                    break
            else:
                return

    def _count_from(self, batch: int, event: StoredEvent) -> int:
        """How many events its session has from this one on."""
        key = _key_document((batch, event.number, event.event_id))
        return self._events.count_documents({"_id": _range(batch, event.number, event.number) | {"$gte": key}})


def _range(batch: int, first: int, last: int) -> Document:
    """The condition on `_id` that holds for the events of these sessions."""
    return {"$gte": {"batch": batch, "number": first}, "$lt": {"batch": batch, "number": last + 1}}


def _within_limits(events: Iterable[StoredEvent]) -> tuple[list[StoredEvent], StoredEvent | None]:
    """The first events of a session up to the listing limits, and the one that came too late."""
    kept: list[StoredEvent] = []
    size = 0
    for event in events:
        size += len(event.payload)
        if len(kept) == limits.LISTED_EVENTS or size > limits.LISTED_EVENT_BYTES:
            return kept, event
        kept.append(event)
    return kept, None


def _all_new(push: EventPush) -> list[StoredEvent | None] | Exception:
    return [None] * len(push.events)


def _unknown() -> NotFound:
    return NotFound(Reason.SESSION_NOT_FOUND, "no session has this id; nothing was stored")


def _digest(number: int, event_id: str) -> bytes:
    return blake2b(f"{number}\0{event_id}".encode(), digest_size=DIGEST_BYTES).digest()


def _key_document(key: Key) -> dict[str, Any]:
    return {"batch": key[0], "number": key[1], "event_id": key[2]}


def _key(document: Document) -> Key:
    key = document["_id"]
    return key["batch"], key["number"], key["event_id"]


def event_document(key: Key, event: EventDraft) -> Document:
    """An event as it is kept."""
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
    return StoredEvent(
        number=document["_id"]["number"],
        event_id=document["_id"]["event_id"],
        server_time=document.get("server_time", False),
        payload=bytes(document["payload"]),
    )
