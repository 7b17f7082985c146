"""Batches in MongoDB.

Which batch collects is not stored but read off the end of the session log: the batch of the
last session, or the one behind the last seal. So exactly one collects at every moment (R8),
also after a crash in the middle of a release. `session_batches` holds the released ones; the
document is made from the seal, by the release or by whoever first misses it.
"""

import builtins
from collections.abc import Set
from dataclasses import asdict
from datetime import datetime

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from clickstream.dao.mongo.connection import Document, MongoCollection, translated
from clickstream.dao.mongo.sessions import APPEND_ATTEMPTS, MongoSessions
from clickstream.domain import limits
from clickstream.domain.batches import ALLOWED_CHANGES, Batch, BatchStatus, StatusChange, check_releasable
from clickstream.domain.errors import AlreadyExists, Reason, Unavailable

TRAINING_ENDED = frozenset({BatchStatus.TRAINED, BatchStatus.FAILED})


class MongoBatches:
    """`BatchDao` over `session_batches` and the seals in `sessions`."""

    def __init__(self, batches: MongoCollection, sessions: MongoCollection, log: MongoSessions) -> None:
        self._batches = batches
        self._sessions = sessions
        self._log = log

    @translated
    def collecting(self) -> Batch:
        """See `BatchDao`."""
        tail = self._log.tail()
        before = self._released(tail.batch - 1)
        return Batch(tail.batch, BatchStatus.COLLECTING, tail.number, opened_at=before.released_at if before else None)

    @translated
    def get(self, sequence: int) -> Batch | None:
        """See `BatchDao`."""
        if batch := self._released(sequence):
            return batch
        collecting = self.collecting()
        if sequence == collecting.sequence:
            return collecting
        return self._released(sequence)  # released between the two looks, or not there at all

    @translated
    def list(self, before: int | None, limit: int, statuses: Set[BatchStatus]) -> builtins.list[Batch]:
        """See `BatchDao`."""
        found = []
        collecting = self.collecting()
        if (not statuses or BatchStatus.COLLECTING in statuses) and (before is None or collecting.sequence < before):
            found.append(collecting)
        below = collecting.sequence if before is None else min(before, collecting.sequence)
        query: Document = {"_id": {"$lt": below}}
        if statuses:
            query["status"] = {"$in": sorted(statuses)}
        if limit > len(found):
            cursor = self._batches.find(query, sort=[("_id", -1)], limit=limit - len(found))
            found += [_batch(document) for document in cursor]
        return found

    @translated
    def release(self, release_id: str, sequence: int | None, at: datetime) -> Batch:
        """See `BatchDao`."""
        for _ in range(APPEND_ATTEMPTS):
            # The end before the id: were it looked up first, a release under the same id could come in
            # between, and its retry would find the next batch empty.
            tail = self._log.tail()
            seal = self._sessions.find_one({"seal": True, "release_id": release_id})
            if seal is not None:
                if sequence not in (None, seal["batch"]):
                    raise AlreadyExists(Reason.CONTENT_CONFLICT, "release_id: taken by the release of another batch")
                return self._from_seal(seal)
            check_releasable(sequence, tail.batch, tail.number)
            self._released(tail.batch - 1)  # its document, should the release before have died half-way
            seal = {
                "_id": {"seal": tail.batch},
                "batch": tail.batch,
                "number": tail.number + 1,
                "seal": True,
                "release_id": release_id,
                "released_at": at,
            }
            try:
                self._sessions.insert_one(seal)
            except DuplicateKeyError:
                continue  # a session or another release came first: look again
            return self._from_seal(seal)
        raise Unavailable(Reason.STORE_UNAVAILABLE, "other servers kept taking the next session number")

    def _released(self, sequence: int) -> Batch | None:
        """A batch that was released, with its document made if a release died before making it."""
        document = self._batches.find_one({"_id": sequence})
        if document is not None:
            return _batch(document)
        seal = self._sessions.find_one({"_id": {"seal": sequence}})
        return self._from_seal(seal) if seal else None

    def _from_seal(self, seal: Document) -> Batch:
        sequence = seal["batch"]
        before = self._batches.find_one({"_id": sequence - 1}, {"released_at": 1})
        document: Document = {
            "_id": sequence,
            "status": BatchStatus.RELEASED,
            "session_count": seal["number"] - 1,
            "opened_at": before["released_at"] if before else None,
            "released_at": seal["released_at"],
            "release_id": seal["release_id"],
            "run_id": "",
            "changed_at": seal["released_at"],
            "history": [asdict(StatusChange.release(seal["release_id"], seal["released_at"]))],
        }
        try:
            self._batches.insert_one(document)
        except DuplicateKeyError:
            document = self._batches.find_one({"_id": sequence}) or document
        return _batch(document)

    @translated
    def change_status(
        self, sequence: int, expected: Set[BatchStatus], to: BatchStatus, *, run_id: str, reason: str, at: datetime
    ) -> Batch | None:
        """See `BatchDao`."""
        forbidden = [status for status in expected if to not in ALLOWED_CHANGES[status]]
        if forbidden:
            raise ValueError(f"a batch never goes from {forbidden[0]} to {to}")
        query: Document = {"_id": sequence, "status": {"$in": sorted(expected)}}
        if BatchStatus.TRAINING in expected:
            query["run_id"] = run_id
        document = self._batches.find_one_and_update(
            query,
            {
                "$set": {"status": to, "run_id": run_id, "changed_at": at},
                **_remembered(StatusChange(to, at, reason)),
            },
            return_document=ReturnDocument.AFTER,
        )
        if document is None:
            # A retry of a change that has already happened changes nothing.
            document = self._batches.find_one({"_id": sequence, "status": to, "run_id": run_id})
        return _batch(document) if document else None

    @translated
    def archive(self, before: datetime, reason: str, at: datetime, *, leaving: Set[int]) -> Batch | None:
        """See `BatchDao`."""
        to = BatchStatus.ARCHIVED
        ended: Document = {"status": {"$in": sorted(TRAINING_ENDED)}, "changed_at": {"$lt": before}}
        document = self._batches.find_one_and_update(
            {**ended, "_id": {"$nin": sorted(leaving)}},
            {"$set": {"status": to, "changed_at": at}, **_remembered(StatusChange(to, at, reason))},
            sort=[("changed_at", 1)],
            return_document=ReturnDocument.AFTER,
        )
        return _batch(document) if document else None


def _remembered(change: StatusChange) -> Document:
    return {"$push": {"history": {"$each": [asdict(change)], "$slice": -limits.STATUS_CHANGES_KEPT}}}


def _batch(document: Document) -> Batch:
    return Batch(
        sequence=document["_id"],
        status=BatchStatus(document["status"]),
        session_count=document["session_count"],
        opened_at=document["opened_at"],
        released_at=document["released_at"],
        release_id=document["release_id"],
        run_id=document["run_id"],
        history=[
            StatusChange(BatchStatus(change["status"]), change["at"], change["reason"])
            for change in document["history"]
        ],
    )
