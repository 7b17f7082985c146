"""Training runs in MongoDB.

The document of a run that succeeded is also that of its model version: one write ends the run and
makes the version, so that a worker that has lost its lease leaves no version behind.

A run is held by one worker at a time: `held` is the end of its lease while it runs, the
earliest time of the next attempt while it waits, and absent once it has ended.

A run of the improvement queue is `improving` until it has ended and the promotion of its version is decided.
An index lets one run be so at a time.
"""

import builtins
from collections import Counter
from collections.abc import Set
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from bson import Binary
from pymongo import DeleteMany, ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError

from clickstream.converter import ConversionSummary
from clickstream.dao.interface import Position
from clickstream.dao.mongo import Document, MongoCollection, translated
from clickstream.errors import FailedPrecondition
from clickstream.runs import (
    CURVE_POINTS,
    CurvePoint,
    FineTuningSettings,
    ModelVersion,
    Phase,
    RunState,
    TrainingProgress,
    TrainingRun,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_STEP = 2**63 - 1
# Logged losses, and as many steps at which only something was measured.
MOST_POINTS = 2 * CURVE_POINTS


class MongoRuns:
    """`RunDao` over `training_runs` and `curve_points`."""

    def __init__(self, runs: MongoCollection, points: MongoCollection) -> None:
        self._runs = runs
        self._points = points

    @translated
    def create(self, run: TrainingRun) -> tuple[TrainingRun, bool]:
        """See `RunDao`."""
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
            "held": run.queued_at,
            "improves": run.improves,
        }
        if run.improves:
            document["improving"] = True
        try:
            self._runs.insert_one(document)
        except DuplicateKeyError:
            kept = self.get(run.run_id)
            if kept is None and run.improves:
                raise FailedPrecondition("STATE_CONFLICT", "another run of the improvement queue is not over") from None
            return kept or run, False
        return run, True

    @translated
    def get(self, run_id: str) -> TrainingRun | None:
        """See `RunDao`."""
        document = self._runs.find_one({"_id": run_id})
        return _run(document) if document else None

    @translated
    def list(self, before: Position | None, limit: int, states: Set[RunState]) -> builtins.list[TrainingRun]:
        """See `RunDao`."""
        return self._newest({"state": {"$in": sorted(states)}} if states else {}, "queued_at", before, limit)

    @translated
    def of_batch(self, batch: int, before: Position | None, limit: int) -> builtins.list[TrainingRun]:
        """See `RunDao`."""
        return self._newest({"batches": batch}, "queued_at", before, limit)

    @translated
    def batches_in_use(self) -> Set[int]:
        """See `RunDao`."""
        going_on = {"state": {"$in": [RunState.QUEUED, RunState.RUNNING]}}
        return {batch for document in self._runs.find(going_on, {"batches": 1}) for batch in document["batches"]}

    @translated
    def model_version(self, model_version_id: str) -> ModelVersion | None:
        """See `RunDao`."""
        document = self._runs.find_one({"model_version.model_version_id": model_version_id})
        return _version(_run(document)) if document else None

    @translated
    def model_versions(
        self, before: Position | None, limit: int, *, improved_only: bool
    ) -> builtins.list[ModelVersion]:
        """See `RunDao`."""
        # Bounded from below, it is answered by index without the runs that made no version.
        query: Document = {"model_version.created_at": {"$gte": EPOCH}}
        if improved_only:
            query["model_version.promoted"] = True
        return [_version(run) for run in self._newest(query, "model_version.created_at", before, limit)]

    def _newest(self, query: Document, by: str, before: Position | None, limit: int) -> builtins.list[TrainingRun]:
        if before is not None:
            at, run_id = before
            query[by] = {"$lte": at}
            query["$or"] = [{by: {"$lt": at}}, {"_id": {"$lt": run_id}}]
        cursor = self._runs.find(query, sort=[(by, -1), ("_id", -1)], limit=limit)
        return [_run(document) for document in cursor]

    @translated
    def promotion_due(self) -> ModelVersion | None:
        """See `RunDao`."""
        document = self._runs.find_one({"promotion_due": True})
        return _version(_run(document)) if document else None

    @translated
    def promotion_decided(self, run_id: str) -> None:
        """See `RunDao`."""
        self._runs.update_one({"_id": run_id}, {"$unset": {"promotion_due": "", "improving": ""}})

    @translated
    def improving(self) -> str | None:
        """See `RunDao`."""
        document = self._runs.find_one({"improving": True}, {"_id": 1})
        return document["_id"] if document else None

    @translated
    def claim(self, owner: str, now: datetime, lease_until: datetime) -> TrainingRun | None:
        """See `RunDao`."""
        document = self._runs.find_one_and_update(
            {"held": {"$lte": now}},
            {
                "$set": {"state": RunState.RUNNING, "owner": owner, "held": lease_until, "reason": ""},
                "$min": {"started_at": now},
                "$inc": {"attempts": 1},
            },
            sort=[("held", 1)],
            return_document=ReturnDocument.AFTER,
        )
        return _run(document) if document else None

    @translated
    def renew(
        self, run_id: str, owner: str, lease_until: datetime, progress: TrainingProgress | None
    ) -> TrainingRun | None:
        """See `RunDao`."""
        changes: Document = {"held": lease_until}
        if progress is not None:
            changes["progress"] = asdict(replace(progress, points=()))
            del changes["progress"]["points"]
        document = self._runs.find_one_and_update(
            _held_by(run_id, owner), {"$set": changes}, return_document=ReturnDocument.AFTER
        )
        if document and progress and progress.points:
            # Each point under its own key: sent twice, after an answer that was lost, it is there once.
            beyond = {"_id": {"$gt": _point_key(run_id, progress.step), "$lte": _point_key(run_id, LAST_STEP)}}
            self._points.bulk_write([DeleteMany(beyond), *(_logged(run_id, point) for point in progress.points)])
        return _run(document) if document else None

    @translated
    def lease(self, run_id: str) -> tuple[str, datetime] | None:
        """See `RunDao`."""
        document = self._runs.find_one({"_id": run_id, "owner": {"$exists": True}}, {"owner": 1, "held": 1})
        return (document["owner"], document["held"]) if document else None

    @translated
    def curve(self, run_id: str) -> builtins.list[CurvePoint]:
        """See `RunDao`."""
        of_run = {"_id": {"$gte": _point_key(run_id, 0), "$lte": _point_key(run_id, LAST_STEP)}}
        return [_point(document) for document in self._points.find(of_run, sort=[("_id", 1)], limit=MOST_POINTS)]

    @translated
    def set_conversion(self, run_id: str, owner: str, conversion: ConversionSummary) -> None:
        """See `RunDao`."""
        self._runs.update_one(_held_by(run_id, owner), {"$set": {"conversion": _pairs(conversion.plain())}})

    @translated
    def give_back(
        self, run_id: str, owner: str, state: RunState, reason: str, not_before: datetime, attempts: int
    ) -> None:
        """See `RunDao`."""
        changes = {"state": state, "reason": reason, "held": not_before, "attempts": attempts}
        self._runs.update_one(_held_by(run_id, owner), {"$set": changes, "$unset": {"owner": ""}})

    @translated
    def finish(
        self, run_id: str, owner: str, state: RunState, reason: str, model_version: ModelVersion | None, at: datetime
    ) -> bool:
        """See `RunDao`."""
        changes: Document = {"state": state, "reason": reason, "ended_at": at}
        gone = ["held", "owner"]
        if model_version is not None:
            changes["model_version"] = asdict(model_version)
        if model_version is not None and model_version.promoted:
            changes["promotion_due"] = True
        else:
            gone.append("improving")
        updated = self._runs.update_one(_held_by(run_id, owner), {"$set": changes, "$unset": dict.fromkeys(gone, "")})
        return updated.matched_count == 1

    @translated
    def request_cancel(self, run_id: str, at: datetime) -> TrainingRun | None:
        """See `RunDao`."""
        self._runs.update_one(
            {"_id": run_id, "state": RunState.QUEUED, "started_at": None},
            {
                "$set": {
                    "state": RunState.CANCELED,
                    "reason": "canceled by request before it started",
                    "cancel_requested": True,
                    "ended_at": at,
                },
                "$unset": {"held": "", "owner": "", "improving": ""},
            },
        )
        # A run that was begun holds batches: only a worker ends it.
        self._runs.update_one(
            {"_id": run_id, "state": {"$in": [RunState.QUEUED, RunState.RUNNING]}},
            {"$set": {"cancel_requested": True}},
        )
        return self.get(run_id)


def _held_by(run_id: str, owner: str) -> Document:
    return {"_id": run_id, "owner": owner, "state": RunState.RUNNING}


def _point_key(run_id: str, step: int) -> Document:
    return {"run_id": run_id, "step": step}


def _logged(run_id: str, point: CurvePoint) -> UpdateOne:
    """Takes up a point, or joins it with what was logged at this step before."""
    logged: Document = {f"metrics.{name}": value for name, value in point.metrics.items()}
    if point.loss is not None:
        logged |= {"loss": point.loss, "learning_rate": point.learning_rate}
    changes = {"$set": logged, "$setOnInsert": {"logged_at": point.logged_at}}
    return UpdateOne({"_id": _point_key(run_id, point.step)}, changes, upsert=True)


def _point(document: Document) -> CurvePoint:
    return CurvePoint(
        step=document["_id"]["step"],
        logged_at=document["logged_at"],
        loss=document.get("loss"),
        learning_rate=document.get("learning_rate"),
        metrics=document.get("metrics", {}),
    )


def _version(run: TrainingRun) -> ModelVersion:
    if run.model_version is None:
        raise ValueError(f"run {run.run_id} made no model version")
    return run.model_version


def _pairs(conversion: dict[str, Any]) -> Document:
    """Counters as pairs: an event type may hold what a MongoDB field name may not."""
    return {name: list(value.items()) if isinstance(value, dict) else value for name, value in conversion.items()}


def _conversion(document: Document) -> ConversionSummary:
    return ConversionSummary(
        policy_version=document["policy_version"],
        session_count=document["session_count"],
        input_count=document["input_count"],
        skipped_sessions=Counter(dict(document["skipped_sessions"])),
        graded_events=Counter(dict(document["graded_events"])),
        ignored_events=Counter(dict(document["ignored_events"])),
        unknown_types=Counter(dict(document["unknown_types"])),
    )


def _run(document: Document) -> TrainingRun:
    progress = document.get("progress")
    return TrainingRun(
        run_id=document["_id"],
        batches=tuple(document["batches"]),
        settings=FineTuningSettings(**document["settings"]),
        request=bytes(document["request"]),
        state=RunState(document["state"]),
        queued_at=document["queued_at"],
        reason=document["reason"],
        progress=TrainingProgress(**{**progress, "phase": Phase(progress["phase"])}) if progress else None,
        conversion=_conversion(document["conversion"]) if document.get("conversion") else None,
        model_version=ModelVersion.from_plain(document["model_version"]) if document.get("model_version") else None,
        attempts=document["attempts"],
        cancel_requested=document["cancel_requested"],
        started_at=document.get("started_at"),
        ended_at=document.get("ended_at"),
        improves=document.get("improves", False),
        judgements_sha256=document.get("judgements_sha256", ""),
    )
