"""Sessions in MongoDB, by the append scheme.

A group of sessions is one ordered insert under the numbers last + 1, last + 2, … of the collecting batch.
The unique index on (batch, number) is the fence: where another process took a number first, the insert stops
there, and the rest is renumbered behind the new last session. Number k can only be written once k - 1 exists,
so no gap is ever visible, and neither a counter nor a transaction is needed. A release takes the next number
for a *seal* (a document with `_id = {seal: batch}`), after which nothing can be appended to that batch.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from bson import Binary
from pymongo import ReturnDocument
from pymongo.errors import BulkWriteError
from typing_extensions import override

from clickstream.dao.interface.sessions import SessionDao
from clickstream.dao.mongo.connection import DUPLICATE_KEY, Document, MongoCollection, check_acknowledged, translated
from clickstream.dao.mongo.identity import StoreIdentity
from clickstream.dao.mongo.session_places import Places
from clickstream.domain import limits
from clickstream.domain.errors import Reason, Unavailable
from clickstream.domain.sessions import Appended, SessionDraft, SessionPage, StoredSession

# Other processes take the next number only as often as they write. This many lost races in a row mean
# another fault.
APPEND_ATTEMPTS = 1_000


class Tail(NamedTuple):
    """The end of the log: the collecting batch and its last number (0 if it has no session)."""

    batch: int
    number: int


class MongoSessions(SessionDao):
    """`SessionDao` over the `sessions` collection."""

    def __init__(self, collection: MongoCollection, places: Places, identity: StoreIdentity) -> None:
        self._collection = collection
        self._places = places
        self._identity = identity
        self._tail: Tail | None = None
        identity.when_lost(self._forget_tail)

    def _forget_tail(self) -> None:
        self._tail = None

    @override
    @translated
    def append(self, drafts: Sequence[SessionDraft]) -> list[Appended | Exception]:
        outcomes: dict[str, Appended | Exception] = {}
        firsts: dict[str, SessionDraft] = {}
        for draft in drafts:
            firsts.setdefault(draft.session_id, draft)
        waiting = list(firsts.values())
        for _ in range(APPEND_ATTEMPTS):
            if not waiting:
                break
            waiting = self._append_once(waiting, outcomes)
        else:
            raise Unavailable(Reason.STORE_UNAVAILABLE, "other servers kept taking the next session number")
        return [_as_answer(outcomes[draft.session_id], draft is firsts[draft.session_id]) for draft in drafts]

    def _append_once(self, drafts: list[SessionDraft], outcomes: dict[str, Appended | Exception]) -> list[SessionDraft]:
        """Inserts drafts up to the first that fails; returns the drafts still to be appended."""
        self._identity.confirm()
        losses = self._identity.losses
        batch, last = self._tail or self.tail()
        self._tail = None  # unknown until the write is answered
        sessions = [_place(draft, batch, last + index) for index, draft in enumerate(drafts, start=1)]
        try:
            self._collection.insert_many([_document(session) for session in sessions], ordered=True)
        except BulkWriteError as error:
            check_acknowledged(error.details)
            written = error.details["nInserted"]
            failure = error.details["writeErrors"][0]
        else:
            written, failure = len(sessions), None
            self._tail = Tail(batch, last + written)
        if losses != self._identity.losses:
            self._check_predecessor(sessions[:written])
        outcomes.update((session.session_id, Appended(session, True)) for session in sessions[:written])
        self._places.remember({session.session_id: (batch, session.number) for session in sessions[:written]})
        rest = drafts[written:]
        if failure is None:
            return rest
        if failure["code"] != DUPLICATE_KEY:
            outcomes[rest[0].session_id] = Unavailable(Reason.STORE_UNAVAILABLE, "the store refused the session")
            return rest[1:]
        # Either the id or the number is taken. One look settles both: a session that is stored by now needs no
        # number, and the rest is appended behind the new tail.
        stored = self._by_id([draft.session_id for draft in rest])
        outcomes.update((session_id, Appended(session, False)) for session_id, session in stored.items())
        return [draft for draft in rest if draft.session_id not in stored]

    def _check_predecessor(self, written: list[StoredSession]) -> None:
        """Takes sessions back that the driver wrote, after a lost connection, behind a log that is not there any more.

        Raises:
            Unavailable: The log ends elsewhere, so the store was restored to an earlier point meanwhile.
        """
        self._identity.confirm()
        if not written or written[0].number == 1:
            return
        before = {"batch": written[0].batch, "number": written[0].number - 1}
        if self._collection.find_one(before, {"_id": 1}) is None:
            self._collection.delete_many({"_id": {"$in": [session.session_id for session in written]}})
            self._tail = None
            raise Unavailable(Reason.STORE_UNAVAILABLE, "the store went back to an earlier point meanwhile")

    def _by_id(self, session_ids: list[str]) -> dict[str, StoredSession]:
        return {
            document["_id"]: _session(document) for document in self._collection.find({"_id": {"$in": session_ids}})
        }

    def tail(self) -> Tail:
        """Reads the end of the log."""
        last = self._collection.find_one({}, {"batch": 1, "number": 1, "seal": 1}, sort=[("batch", -1), ("number", -1)])
        if last is None:
            return Tail(1, 0)
        return Tail(last["batch"] + 1, 0) if last.get("seal") else Tail(last["batch"], last["number"])

    @override
    @translated
    def get(self, session_id: str) -> StoredSession | None:
        document = self._collection.find_one({"_id": session_id})
        return _session(document) if document else None

    @override
    @translated
    def page(self, batch: int, after: int, limit: int, *, include_irrelevant: bool) -> SessionPage:
        query: Document = {"batch": batch, "number": {"$gt": after}, "seal": None}
        if not include_irrelevant:
            query["irrelevant_at"] = None
        sessions: list[StoredSession] = []
        size = 0
        # One round trip if the page fits MongoDB's largest reply (16 MB), which also bounds the memory.
        with self._collection.find(query, sort=[("batch", 1), ("number", 1)], limit=limit, batch_size=limit) as found:
            for document in found:
                size += len(document.get("payload", b""))
                if sessions and size > limits.PAGE_BYTES:
                    return SessionPage(sessions, complete=False)
                sessions.append(_session(document))
        return SessionPage(sessions, complete=len(sessions) < limit)

    @override
    @translated
    def mark_irrelevant(self, session_id: str, at: datetime) -> StoredSession | None:
        # A mark that changes nothing is acknowledged by a majority, too, and with it the earlier mark.
        self._collection.update_one({"_id": session_id, "irrelevant_at": None}, {"$set": {"irrelevant_at": at}})
        return self.get(session_id)

    @override
    @translated
    def restore(self, session_id: str) -> StoredSession | None:
        document = self._collection.find_one_and_update(
            {"_id": session_id}, {"$unset": {"irrelevant_at": ""}}, return_document=ReturnDocument.AFTER
        )
        return _session(document) if document else None


def _as_answer(outcome: Appended | Exception, first: bool) -> Appended | Exception:
    """The outcome of one draft: of several with one id in a group, only the first can have created the session."""
    if isinstance(outcome, Appended) and not first:
        return Appended(outcome.session, False)
    return outcome


def _place(draft: SessionDraft, batch: int, number: int) -> StoredSession:
    return StoredSession(
        session_id=draft.session_id,
        batch=batch,
        number=number,
        created_at=draft.created_at,
        server_time=draft.server_time,
        user_id=draft.user_id,
        payload=draft.payload,
    )


def _document(session: StoredSession) -> Document:
    document: Document = {
        "_id": session.session_id,
        "batch": session.batch,
        "number": session.number,
        "created_at": session.created_at,
        "v": session.version,
        "payload": Binary(session.payload),
    }
    if session.server_time:
        document["server_time"] = True
    if session.user_id:
        document["user_id"] = session.user_id
    return document


def _session(document: Document) -> StoredSession:
    """The session in a document, which loses its payload when it is erased."""
    return StoredSession(
        session_id=document["_id"],
        batch=document["batch"],
        number=document["number"],
        created_at=document["created_at"],
        server_time=document.get("server_time", False),
        user_id=document.get("user_id", ""),
        payload=bytes(document.get("payload", b"")),
        irrelevant_at=document.get("irrelevant_at"),
        version=document["v"],
        erased="payload" not in document,
    )
