"""A cache of sessions' places in the log. A place never changes within a store, and what is cached ends with it."""

from collections.abc import Set

from clickstream.dao.mongo.connection import MongoCollection

# (batch, number within the batch)
Place = tuple[int, int]

# About 12 MB. Events follow their session within minutes; an older session costs a query by key.
PLACES_KEPT = 50_000


class Places:
    """The places of recently written sessions. May be used by several threads."""

    def __init__(self, sessions: MongoCollection) -> None:
        self._sessions = sessions
        self._known: dict[str, Place] = {}

    def of(self, session_ids: Set[str]) -> dict[str, Place]:
        """The places of those of the sessions that exist, by session id."""
        known = self._known
        places = {session_id: known[session_id] for session_id in session_ids if session_id in known}
        if len(places) < len(session_ids):
            query = {"_id": {"$in": [session_id for session_id in session_ids if session_id not in places]}}
            found = {
                document["_id"]: (document["batch"], document["number"])
                for document in self._sessions.find(query, {"batch": 1, "number": 1})
            }
            self.remember(found)
            places |= found
        return places

    def forget(self) -> None:
        """Forgets all places: the store may be another one."""
        self._known = {}

    def remember(self, places: dict[str, Place]) -> None:
        """Remembers places that a majority has acknowledged."""
        if len(self._known) + len(places) > PLACES_KEPT:
            # Emptied at once: the sessions still in use are read again, by one query per group.
            self._known = {}
        self._known.update(places)
