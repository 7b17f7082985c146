"""Frozen pages in MongoDB: which events and marks the first training read of a range of sessions saw (R14).

A page of `training_pages` holds the digests of the events that count, the sessions marked irrelevant, and
per session the number of events beyond the listing limits. Events that come later are read but not counted.
"""

from collections.abc import Iterable
from hashlib import blake2b

from bson import Binary
from pymongo.errors import DuplicateKeyError

from clickstream.dao.mongo.connection import Document, MongoCollection
from clickstream.domain.sessions import SessionEvents, StoredEvent

DIGEST_BYTES = 8


class TrainingPages:
    """The pages of `training_pages`, frozen once each. May be used by several threads."""

    def __init__(self, pages: MongoCollection, sessions: MongoCollection) -> None:
        self._pages = pages
        self._sessions = sessions

    def find(self, key: Document) -> Document | None:
        """The page with this key, if it is frozen."""
        return self._pages.find_one({"_id": key})

    def freeze(self, key: Document, listed: Iterable[tuple[int, SessionEvents]]) -> Document:
        """Stores a page once and for ever, and returns the stored one.

        If two processes freeze a page at the same time, the first one's is stored, and both go by it.

        Args:
            key: `batch`, `first` and `last` session number and, for one run alone, `run_id`.
            listed: The sessions with events, each with its events within the listing limits.
        """
        digests, over_limit = bytearray(), {}
        for number, events in listed:
            for event in events.events:
                digests += _digest(number, event.event_id)
            if events.omitted:
                over_limit[str(number)] = events.omitted
        marked = self._sessions.find(
            {
                "batch": key["batch"],
                "number": {"$gte": key["first"], "$lte": key["last"]},
                "irrelevant_at": {"$ne": None},
            },
            {"number": 1},
        )
        page = {
            "_id": key,
            "events": Binary(bytes(digests)),
            "over_limit": over_limit,
            "irrelevant": sorted(document["number"] for document in marked),
        }
        try:
            self._pages.insert_one(page)
        except DuplicateKeyError:
            return self.find(key) or page
        return page


def counting(
    page: Document, by_session: Iterable[tuple[int, Iterable[StoredEvent]]]
) -> tuple[dict[int, SessionEvents], frozenset[int]]:
    """The events of a frozen page that count for training, by session number, and its irrelevant sessions.

    Args:
        page: The frozen page.
        by_session: The sessions of the page's range that have events by now, with all of their events.
    """
    digests = bytes(page["events"])
    frozen = {digests[index : index + DIGEST_BYTES] for index in range(0, len(digests), DIGEST_BYTES)}
    over_limit = {int(number): count for number, count in page["over_limit"].items()}
    found = {}
    for number, events in by_session:
        kept, others = [], 0
        for event in events:
            if _digest(number, event.event_id) in frozen:
                kept.append(event)
            else:
                others += 1
        omitted = over_limit.get(number, 0)
        found[number] = SessionEvents(kept, omitted=omitted, late=others - omitted)
    return found, frozenset(page["irrelevant"])


def _digest(number: int, event_id: str) -> bytes:
    return blake2b(f"{number}\0{event_id}".encode(), digest_size=DIGEST_BYTES).digest()
