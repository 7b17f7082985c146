"""The improvement queue in MongoDB.

A task belongs to at most one training run: `run_id` is set by compare-and-set on the task's state, and
cleared or settled by compare-and-set on the run. `lease_ends_at` is present only while the task is processing.
"""

import builtins
from collections.abc import Sequence, Set
from datetime import datetime

from pymongo.errors import DuplicateKeyError
from typing_extensions import override

from clickstream.dao.interface.improvement import ImprovementDao
from clickstream.dao.interface.list_cursor import ListCursor
from clickstream.dao.mongo.connection import Document, MongoCollection, translated
from clickstream.domain.improvement import RETRYABLE, ImprovementState, ImprovementTask, TaskOutcome
from clickstream.domain.sessions import StoredSession

# Those that wait longest first.
LONGEST_FIRST = [("not_before", 1), ("_id", 1)]


class MongoImprovement(ImprovementDao):
    """`ImprovementDao` over `sessions_for_improvement`, keyed by session id."""

    def __init__(self, collection: MongoCollection) -> None:
        self._collection = collection

    @override
    @translated
    def queue(self, session: StoredSession, at: datetime, query: str = "") -> tuple[ImprovementTask, bool]:
        document: Document = {
            "_id": session.session_id,
            "state": ImprovementState.PENDING,
            "queued_at": at,
            "updated_at": at,
            "not_before": at,
            "batch": session.batch,
            "number": session.number,
            "query": query,
            "reason": "",
            "attempts": 0,
            "run_id": "",
            "model_version_id": "",
        }
        try:
            self._collection.insert_one(document)
        except DuplicateKeyError:
            return self.get(session.session_id) or _task(document), False
        return _task(document), True

    @override
    @translated
    def get(self, session_id: str) -> ImprovementTask | None:
        document = self._collection.find_one({"_id": session_id})
        return _task(document) if document else None

    @override
    @translated
    def list(
        self, after: ListCursor | None, limit: int, states: Set[ImprovementState], run_id: str = ""
    ) -> builtins.list[ImprovementTask]:
        query: Document = {"run_id": run_id} if run_id else {}
        if states:
            query["state"] = {"$in": sorted(states)}
        if after is not None:
            at, session_id = after
            query["queued_at"] = {"$gte": at}
            query["$or"] = [{"queued_at": {"$gt": at}}, {"_id": {"$gt": session_id}}]
        cursor = self._collection.find(query, sort=[("queued_at", 1), ("_id", 1)], limit=limit)
        return [_task(document) for document in cursor]

    @override
    @translated
    def counts(self) -> dict[ImprovementState, int]:
        # The condition names every state so that an index answers it, without reading the tasks.
        any_state: Document = {"$match": {"state": {"$in": sorted(ImprovementState)}}}
        counted = self._collection.aggregate([any_state, {"$group": {"_id": "$state", "count": {"$sum": 1}}}])
        return {ImprovementState(document["_id"]): document["count"] for document in counted}

    @override
    @translated
    def cancel(self, session_id: str, at: datetime) -> ImprovementTask | None:
        self._collection.update_one(
            {"_id": session_id, "state": ImprovementState.PENDING},
            {"$set": {"state": ImprovementState.CANCELED, "updated_at": at, "reason": "canceled by request"}},
        )
        return self.get(session_id)

    @override
    @translated
    def retry(self, session_id: str, at: datetime) -> bool:
        changes = {"state": ImprovementState.PENDING, "updated_at": at, "not_before": at}
        changes |= {"reason": "", "attempts": 0, "run_id": ""}
        updated = self._collection.update_one(
            {"_id": session_id, "state": {"$in": sorted(RETRYABLE)}}, {"$set": changes}
        )
        return updated.matched_count == 1

    @override
    @translated
    def waiting(self, now: datetime, limit: int) -> tuple[int, datetime | None]:
        first = self._collection.find_one(_due(now), {"not_before": 1}, sort=LONGEST_FIRST)
        if first is None:
            return 0, None
        return self._collection.count_documents(_due(now), limit=limit), first["not_before"]

    @override
    @translated
    def due(self, now: datetime, limit: int) -> dict[str, str]:
        cursor = self._collection.find(_due(now), {"query": 1}, sort=LONGEST_FIRST, limit=limit)
        # A task that was queued before queries were kept has none.
        return {document["_id"]: document.get("query", "") for document in cursor}

    @override
    @translated
    def take(self, session_ids: Sequence[str], run_id: str, now: datetime, lease_until: datetime) -> int:
        changes = {
            "state": ImprovementState.PROCESSING,
            "run_id": run_id,
            "lease_ends_at": lease_until,
            "updated_at": now,
            "reason": "",
        }
        taken = 0
        for part in (session_ids[:1], session_ids[1:]):
            query = {"_id": {"$in": part}, "state": ImprovementState.PENDING}
            taken += self._collection.update_many(query, {"$set": changes}).modified_count
            if not taken:
                break
        return taken

    @override
    @translated
    def renew_lease(self, run_id: str, lease_until: datetime) -> builtins.list[ImprovementTask]:
        self._collection.update_many(_in_run(run_id), {"$set": {"lease_ends_at": lease_until}})
        tasks = [_task(document) for document in self._collection.find(_in_run(run_id))]
        return sorted(tasks, key=lambda task: (task.batch, task.number))

    @override
    @translated
    def expired_run(self, now: datetime) -> str | None:
        document = self._collection.find_one(
            {"lease_ends_at": {"$lte": now}}, {"run_id": 1}, sort=[("lease_ends_at", 1)]
        )
        return document["run_id"] if document else None

    @override
    @translated
    def put_back(self, run_id: str, lease_ended_by: datetime, at: datetime) -> None:
        changes = {"state": ImprovementState.PENDING, "run_id": "", "updated_at": at}
        self._collection.update_many(
            {**_in_run(run_id), "lease_ends_at": {"$lte": lease_ended_by}},
            {"$set": changes, "$unset": {"lease_ends_at": ""}},
        )

    @override
    @translated
    def settle(self, run_id: str, session_ids: Sequence[str], outcome: TaskOutcome, at: datetime) -> None:
        changes: Document = {
            "state": outcome.state,
            "reason": outcome.reason,
            "model_version_id": outcome.model_version_id,
            "updated_at": at,
        }
        if outcome.not_before is not None:
            changes["not_before"] = outcome.not_before
        self._collection.update_many(
            {"_id": {"$in": list(session_ids)}, **_in_run(run_id)},
            {"$set": changes, "$inc": {"attempts": 1}, "$unset": {"lease_ends_at": ""}},
        )


def _due(now: datetime) -> Document:
    return {"state": ImprovementState.PENDING, "not_before": {"$lte": now}}


def _in_run(run_id: str) -> Document:
    return {"run_id": run_id, "state": ImprovementState.PROCESSING}


def _task(document: Document) -> ImprovementTask:
    return ImprovementTask(
        session_id=document["_id"],
        state=ImprovementState(document["state"]),
        queued_at=document["queued_at"],
        updated_at=document["updated_at"],
        not_before=document["not_before"],
        batch=document["batch"],
        number=document["number"],
        reason=document["reason"],
        attempts=document["attempts"],
        run_id=document["run_id"],
        model_version_id=document["model_version_id"],
        lease_ends_at=document.get("lease_ends_at"),
    )
