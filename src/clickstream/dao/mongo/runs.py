"""Training runs in MongoDB.

The document of a run that succeeded is also the document of its model version: one write ends the run and
makes the version, so that a worker that has lost its lease leaves no version behind.

One worker at a time has a lease on a run. `available_at` is the moment from which any worker may claim it: the
end of the lease while the run runs, the earliest time of the next attempt while it waits, absent once it ended.

A run of the improvement queue carries `open_improvement_run` until it has ended and the promotion of its
version is decided.
An index lets one run be so at a time.
"""

import builtins
from collections.abc import Set
from dataclasses import asdict, replace
from datetime import UTC, datetime

from bson import Binary
from pymongo import DeleteMany, ReturnDocument
from pymongo.errors import DuplicateKeyError
from typing_extensions import override

from clickstream.dao.interface.list_cursor import ListCursor
from clickstream.dao.interface.runs import RunDao
from clickstream.dao.mongo.connection import Document, MongoCollection, translated
from clickstream.dao.mongo.run_documents import logged, pairs, point_key, point_of, run_of, version_of
from clickstream.domain.errors import FailedPrecondition, Reason
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import CURVE_POINTS, CurvePoint, RunState, TrainingProgress, TrainingRun
from clickstream.domain.training_inputs import ConversionSummary

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_STEP = 2**63 - 1
# Points of a curve that are read: the logged losses, and the same number of steps with metrics only.
MOST_POINTS = 2 * CURVE_POINTS


class MongoRuns(RunDao):
    """`RunDao` over `training_runs` and `curve_points`."""

    def __init__(self, runs: MongoCollection, points: MongoCollection) -> None:
        self._runs = runs
        self._points = points

    @override
    @translated
    def create(self, run: TrainingRun) -> tuple[TrainingRun, bool]:
        document: Document = {
            "_id": run.run_id,
            "batches": list(run.batches),
            "settings": asdict(run.settings),
            "request": Binary(run.request),
            "state": run.state,
            "queued_at": run.queued_at,
            "reason": run.reason,
            "attempts": 0,
            "cancel_requested": False,
            "judgements_sha256": run.judgements_sha256,
            "available_at": run.queued_at,
            "from_improvement_queue": run.from_improvement_queue,
            "robot_verdict_number": run.robot_verdict_number,
        }
        if run.from_improvement_queue:
            document["open_improvement_run"] = True
        try:
            self._runs.insert_one(document)
        except DuplicateKeyError:
            kept = self.get(run.run_id)
            if kept is None and run.from_improvement_queue:
                raise FailedPrecondition(
                    Reason.STATE_CONFLICT, "another run of the improvement queue is not over"
                ) from None
            return kept or run, False
        return run, True

    @override
    @translated
    def get(self, run_id: str) -> TrainingRun | None:
        document = self._runs.find_one({"_id": run_id})
        return run_of(document) if document else None

    @override
    @translated
    def list(self, before: ListCursor | None, limit: int, states: Set[RunState]) -> builtins.list[TrainingRun]:
        return self._newest({"state": {"$in": sorted(states)}} if states else {}, "queued_at", before, limit)

    @override
    @translated
    def of_batch(self, batch: int, before: ListCursor | None, limit: int) -> builtins.list[TrainingRun]:
        return self._newest({"batches": batch}, "queued_at", before, limit)

    @override
    @translated
    def batches_in_use(self) -> Set[int]:
        unfinished = {"state": {"$in": [RunState.QUEUED, RunState.RUNNING]}}
        return {batch for document in self._runs.find(unfinished, {"batches": 1}) for batch in document["batches"]}

    @override
    @translated
    def model_version(self, model_version_id: str) -> ModelVersion | None:
        document = self._runs.find_one({"model_version.model_version_id": model_version_id})
        return version_of(run_of(document)) if document else None

    @override
    @translated
    def model_versions(
        self, before: ListCursor | None, limit: int, *, gate_passed_only: bool
    ) -> builtins.list[ModelVersion]:
        # The lower bound lets the index leave out the runs that made no version.
        query: Document = {"model_version.created_at": {"$gte": EPOCH}}
        if gate_passed_only:
            query["model_version.gate_passed"] = True
        return [version_of(run) for run in self._newest(query, "model_version.created_at", before, limit)]

    def _newest(self, query: Document, by: str, before: ListCursor | None, limit: int) -> builtins.list[TrainingRun]:
        if before is not None:
            at, run_id = before
            query[by] = {"$lte": at}
            query["$or"] = [{by: {"$lt": at}}, {"_id": {"$lt": run_id}}]
        cursor = self._runs.find(query, sort=[(by, -1), ("_id", -1)], limit=limit)
        return [run_of(document) for document in cursor]

    @override
    @translated
    def promotion_due(self) -> ModelVersion | None:
        document = self._runs.find_one({"promotion_due": True})
        return version_of(run_of(document)) if document else None

    @override
    @translated
    def promotion_decided(self, run_id: str) -> None:
        self._runs.update_one({"_id": run_id}, {"$unset": {"promotion_due": "", "open_improvement_run": ""}})

    @override
    @translated
    def open_improvement_run(self) -> str | None:
        document = self._runs.find_one({"open_improvement_run": True}, {"_id": 1})
        return document["_id"] if document else None

    @override
    @translated
    def counts(self) -> dict[RunState, int]:
        # The condition names every state so that an index answers it, without reading the runs.
        any_state: Document = {"$match": {"state": {"$in": sorted(RunState)}}}
        counted = self._runs.aggregate([any_state, {"$group": {"_id": "$state", "count": {"$sum": 1}}}])
        return {RunState(document["_id"]): document["count"] for document in counted}

    @override
    @translated
    def claim(self, owner: str, now: datetime, lease_until: datetime) -> TrainingRun | None:
        document = self._runs.find_one_and_update(
            {"available_at": {"$lte": now}},
            {
                "$set": {"state": RunState.RUNNING, "owner": owner, "available_at": lease_until, "reason": ""},
                "$min": {"started_at": now},
                "$inc": {"attempts": 1},
            },
            sort=[("available_at", 1)],
            return_document=ReturnDocument.AFTER,
        )
        return run_of(document) if document else None

    @override
    @translated
    def renew(
        self, run_id: str, owner: str, lease_until: datetime, progress: TrainingProgress | None
    ) -> TrainingRun | None:
        changes: Document = {"available_at": lease_until}
        if progress is not None:
            changes["progress"] = asdict(replace(progress, points=()))
            del changes["progress"]["points"]
        document = self._runs.find_one_and_update(
            _leased_by(run_id, owner), {"$set": changes}, return_document=ReturnDocument.AFTER
        )
        if document and progress and progress.points:
            # Each point has a key of its own: sent again after a lost answer, it is still stored once.
            beyond = {"_id": {"$gt": point_key(run_id, progress.step), "$lte": point_key(run_id, LAST_STEP)}}
            self._points.bulk_write([DeleteMany(beyond), *(logged(run_id, point) for point in progress.points)])
        return run_of(document) if document else None

    @override
    @translated
    def lease(self, run_id: str) -> tuple[str, datetime] | None:
        document = self._runs.find_one({"_id": run_id, "owner": {"$exists": True}}, {"owner": 1, "available_at": 1})
        return (document["owner"], document["available_at"]) if document else None

    @override
    @translated
    def curve(self, run_id: str) -> builtins.list[CurvePoint]:
        of_run = {"_id": {"$gte": point_key(run_id, 0), "$lte": point_key(run_id, LAST_STEP)}}
        return [point_of(document) for document in self._points.find(of_run, sort=[("_id", 1)], limit=MOST_POINTS)]

    @override
    @translated
    def set_conversion(self, run_id: str, owner: str, conversion: ConversionSummary) -> None:
        self._runs.update_one(_leased_by(run_id, owner), {"$set": {"conversion": pairs(conversion.plain())}})

    @override
    @translated
    def give_back(
        self, run_id: str, owner: str, state: RunState, reason: str, available_at: datetime, attempts: int
    ) -> None:
        leased, changes = _leased_by(run_id, owner), {"state": state, "reason": reason, "attempts": attempts}
        for cancel_requested, at in ((False, available_at), (True, EPOCH)):
            self._runs.update_one(
                {**leased, "cancel_requested": cancel_requested},
                {"$set": {**changes, "available_at": at}, "$unset": {"owner": ""}},
            )

    @override
    @translated
    def finish(
        self, run_id: str, owner: str, state: RunState, reason: str, model_version: ModelVersion | None, at: datetime
    ) -> bool:
        changes: Document = {"state": state, "reason": reason, "ended_at": at}
        removed = ["available_at", "owner"]
        if model_version is not None:
            changes["model_version"] = asdict(model_version)
        if model_version is not None and model_version.gate_passed:
            changes["promotion_due"] = True
        else:
            removed.append("open_improvement_run")
        updated = self._runs.update_one(
            _leased_by(run_id, owner), {"$set": changes, "$unset": dict.fromkeys(removed, "")}
        )
        return updated.matched_count == 1

    @override
    @translated
    def request_cancel(self, run_id: str, at: datetime) -> TrainingRun | None:
        open_run = {"_id": run_id, "state": {"$in": [RunState.QUEUED, RunState.RUNNING]}}
        # The request comes first: a worker that gives the run back in between makes it available at once.
        self._runs.update_one(open_run, {"$set": {"cancel_requested": True}})
        self._runs.update_one(
            {**open_run, "owner": {"$exists": False}},
            {
                "$set": {"state": RunState.CANCELED, "reason": "canceled by request", "ended_at": at},
                "$unset": {"available_at": "", "open_improvement_run": ""},
            },
        )
        return self.get(run_id)


def _leased_by(run_id: str, owner: str) -> Document:
    return {"_id": run_id, "owner": owner, "state": RunState.RUNNING}
