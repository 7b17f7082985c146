"""The improvement queue in MongoDB."""

import builtins
from collections.abc import Set
from datetime import datetime

from pymongo.errors import DuplicateKeyError

from clickstream.dao.interface import Position
from clickstream.dao.mongo import Document, MongoCollection, translated
from clickstream.improvement import ImprovementState, ImprovementTask


class MongoImprovement:
    """`ImprovementDao` over `sessions_for_improvement`, keyed by session id."""

    def __init__(self, collection: MongoCollection) -> None:
        self._collection = collection

    @translated
    def queue(self, session_id: str, at: datetime) -> tuple[ImprovementTask, bool]:
        """See `ImprovementDao`."""
        task = ImprovementTask(session_id, ImprovementState.PENDING, queued_at=at, updated_at=at)
        try:
            self._collection.insert_one(
                {"_id": session_id, "state": task.state, "queued_at": at, "updated_at": at, "reason": ""}
            )
        except DuplicateKeyError:
            return self.get(session_id) or task, False
        return task, True

    @translated
    def get(self, session_id: str) -> ImprovementTask | None:
        """See `ImprovementDao`."""
        document = self._collection.find_one({"_id": session_id})
        return _task(document) if document else None

    @translated
    def list(self, after: Position | None, limit: int, states: Set[ImprovementState]) -> builtins.list[ImprovementTask]:
        """See `ImprovementDao`."""
        query: Document = {"state": {"$in": sorted(states)}} if states else {}
        if after is not None:
            at, session_id = after
            query["queued_at"] = {"$gte": at}
            query["$or"] = [{"queued_at": {"$gt": at}}, {"_id": {"$gt": session_id}}]
        cursor = self._collection.find(query, sort=[("queued_at", 1), ("_id", 1)], limit=limit)
        return [_task(document) for document in cursor]

    @translated
    def cancel(self, session_id: str, at: datetime) -> ImprovementTask | None:
        """See `ImprovementDao`."""
        self._collection.update_one(
            {"_id": session_id, "state": ImprovementState.PENDING},
            {"$set": {"state": ImprovementState.CANCELED, "updated_at": at, "reason": "canceled by request"}},
        )
        return self.get(session_id)


def _task(document: Document) -> ImprovementTask:
    return ImprovementTask(
        session_id=document["_id"],
        state=ImprovementState(document["state"]),
        queued_at=document["queued_at"],
        updated_at=document["updated_at"],
        reason=document["reason"],
    )
