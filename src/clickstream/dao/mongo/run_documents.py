"""Training runs, their versions and their curves as documents, and back."""

from collections import Counter
from typing import Any

from pymongo import UpdateOne

from clickstream.dao.mongo.connection import Document
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import CurvePoint, FineTuningSettings, Phase, RunState, TrainingProgress, TrainingRun
from clickstream.domain.training_inputs import ConversionSummary


def point_key(run_id: str, step: int) -> Document:
    """The key of the curve point at a step of a run."""
    return {"run_id": run_id, "step": step}


def logged(run_id: str, point: CurvePoint) -> UpdateOne:
    """The write that stores a curve point, or merges it into the point that was logged at its step before."""
    logged: Document = {f"metrics.{name}": value for name, value in point.metrics.items()}
    if point.loss is not None:
        logged |= {"loss": point.loss, "learning_rate": point.learning_rate}
    changes = {"$set": logged, "$setOnInsert": {"logged_at": point.logged_at}}
    return UpdateOne({"_id": point_key(run_id, point.step)}, changes, upsert=True)


def point_of(document: Document) -> CurvePoint:
    """The curve point in a document."""
    return CurvePoint(
        step=document["_id"]["step"],
        logged_at=document["logged_at"],
        loss=document.get("loss"),
        learning_rate=document.get("learning_rate"),
        metrics=document.get("metrics", {}),
    )


def version_of(run: TrainingRun) -> ModelVersion:
    """The model version that a run made. Raises ValueError if it made none."""
    if run.model_version is None:
        raise ValueError(f"run {run.run_id} made no model version")
    return run.model_version


def pairs(conversion: dict[str, Any]) -> Document:
    """Counters as lists of pairs: an event type may contain characters that a MongoDB field name may not."""
    return {name: list(value.items()) if isinstance(value, dict) else value for name, value in conversion.items()}


def _conversion(document: Document) -> ConversionSummary:
    return ConversionSummary(
        policy_version=document["policy_version"],
        session_count=document["session_count"],
        input_count=document["input_count"],
        skipped_sessions=Counter(dict(document["skipped_sessions"])),
        ignored_results=Counter(dict(document["ignored_results"])),
        graded_events=Counter(dict(document["graded_events"])),
        ignored_events=Counter(dict(document["ignored_events"])),
        unknown_types=Counter(dict(document["unknown_types"])),
        robot_verdict_number=document.get("robot_verdict_number", 0),
    )


def run_of(document: Document) -> TrainingRun:
    """The run in a document."""
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
        from_improvement_queue=document.get("from_improvement_queue", False),
        judgements_sha256=document.get("judgements_sha256", ""),
        robot_verdict_number=document.get("robot_verdict_number", 0),
    )
