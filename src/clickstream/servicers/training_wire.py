"""Training inputs, runs and model versions: contract messages ↔ domain objects."""

import math
from dataclasses import asdict, replace

from embedding_studio.clickstream.v1 import fine_tuning_service_pb2, training_input_pb2, training_service_pb2
from google.protobuf.struct_pb2 import Struct, Value

from clickstream.batches import batch_id_of
from clickstream.converter import ConversionSummary, GradedResult, TrainingInput
from clickstream.errors import FieldViolation
from clickstream.evaluations import ClickModelScore
from clickstream.runs import (
    CurvePoint,
    DataCounts,
    FineTuningSettings,
    ModelVersion,
    Phase,
    TrainingProgress,
    TrainingRun,
)
from clickstream.servicers import evaluation_wire, validation
from clickstream.servicers.wire import timestamp, utc

Progress = fine_tuning_service_pb2.TrainingProgress
MAX_TEXT = 1_024
# Field → (lowest, highest); `learning_rate` and `temperature` also exclude 0.
RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, 100),
    "batch_queries": (2, 1_024),
    "learning_rate": (1e-12, 1),
    "max_tokens": (8, 8_192),
    "held_out_share": (0.05, 0.5),
    "seed": (-(2**63), 2**63 - 1),
    "temperature": (0.001, 1),
    "frozen_layers": (0, 1_000),
    "lora_rank": (0, 1_024),
    "early_stopping_patience": (0, 100),
}
CHOICES = {
    "position_bias": ("auto", "none", "rank_ctr", "pbm", "sdbn"),
    "loss": ("listwise", "contrastive"),
    "unexamined": ("negative", "unknown"),
}


def training_input(converted: TrainingInput) -> training_input_pb2.TrainingInput:
    """An input for the contract."""
    return training_input_pb2.TrainingInput(
        session_id=converted.session_id,
        batch_id=converted.batch_id,
        session_number=converted.number,
        query=converted.query,
        results=[
            training_input_pb2.GradedResult(
                object_id=result.object_id,
                position=result.position,
                grade=result.grade,
                event_ids=result.event_ids,
                meta=result.meta,  # a Struct, as it came out of the session
            )
            for result in converted.results
        ],
        policy_version=converted.policy_version,
        searched_at=timestamp(converted.searched_at),
    )


def training_input_from(message: training_input_pb2.TrainingInput) -> TrainingInput:
    """An input as the fine-tuning module takes it."""
    return TrainingInput(
        session_id=message.session_id,
        batch_id=message.batch_id,
        number=message.session_number,
        query=message.query,
        results=tuple(
            GradedResult(result.object_id, result.position, result.grade, tuple(result.event_ids), _plain(result.meta))
            for result in message.results
        ),
        policy_version=message.policy_version,
        searched_at=utc(message.searched_at) if message.HasField("searched_at") else None,
    )


def _plain(struct: Struct) -> dict[str, object]:
    """A Struct as plain data; twice as fast as the library's own, which also serves other messages."""
    return {key: _value(value) for key, value in struct.fields.items()}


def _value(value: Value) -> object:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _plain(value.struct_value)
    if kind == "list_value":
        return [_value(item) for item in value.list_value.values]
    return None if kind in (None, "null_value") else getattr(value, kind)


def conversion_summary(summary: ConversionSummary) -> training_input_pb2.ConversionSummary:
    """A count for the contract."""
    return training_input_pb2.ConversionSummary(**summary.plain())


def settings(message: fine_tuning_service_pb2.FineTuningSettings, defaults: FineTuningSettings) -> FineTuningSettings:
    """Settings with every absent field filled in. Raises InvalidArgument naming the fields out of range."""
    violations: validation.Violations = []
    values = asdict(defaults)
    for name, (lowest, highest) in RANGES.items():
        if message.HasField(name):
            values[name] = getattr(message, name)
            if not (math.isfinite(values[name]) and lowest <= values[name] <= highest):
                violations.append(FieldViolation(f"settings.{name}", f"must be from {lowest:g} to {highest:g}"))
    for name in ("base_model", "item_template"):
        if text := getattr(message, name):
            values[name] = text
            if len(text) > MAX_TEXT:
                violations.append(FieldViolation(f"settings.{name}", f"must have at most {MAX_TEXT} characters"))
    for name, known in CHOICES.items():
        if choice := getattr(message, name):
            values[name] = choice
            if choice not in known:
                violations.append(FieldViolation(f"settings.{name}", f"must be one of {', '.join(known)}"))
    after = message.held_out_after
    if message.HasField("held_out_after") and validation.check_timestamp(after, "settings.held_out_after", violations):
        at = utc(after)
        values["held_out_after"] = at.replace(microsecond=at.microsecond // 1_000 * 1_000)  # what the store keeps
    validation.require(violations)
    return FineTuningSettings(**values)


def settings_message(value: FineTuningSettings) -> fine_tuning_service_pb2.FineTuningSettings:
    """Settings for the contract."""
    values = asdict(value) | {"held_out_after": timestamp(value.held_out_after)}
    return fine_tuning_service_pb2.FineTuningSettings(**values)


def progress_message(progress: TrainingProgress) -> Progress:
    """Progress for the contract."""
    values = asdict(replace(progress, points=())) | {"phase": f"PHASE_{progress.phase.name}"}
    return Progress(**values | {"points": map(curve_point_message, progress.points)})


def progress_from(message: Progress) -> TrainingProgress:
    """Progress as the service keeps it."""
    return TrainingProgress(
        phase=Phase[Progress.Phase.Name(message.phase).removeprefix("PHASE_")],
        input_count=message.input_count,
        step=message.step,
        step_count=message.step_count,
        loss=message.loss,
        learning_rate=message.learning_rate,
        queries_per_second=message.queries_per_second,
        remaining_seconds=message.remaining_seconds,
        metrics=dict(message.metrics),
        points=tuple(_curve_point_from(point) for point in message.points),
    )


def curve_point_message(point: CurvePoint) -> fine_tuning_service_pb2.CurvePoint:
    """A point of a curve for the contract."""
    return fine_tuning_service_pb2.CurvePoint(**asdict(point) | {"logged_at": timestamp(point.logged_at)})


def _curve_point_from(message: fine_tuning_service_pb2.CurvePoint) -> CurvePoint:
    return CurvePoint(
        step=message.step,
        logged_at=utc(message.logged_at),
        loss=message.loss if message.HasField("loss") else None,
        learning_rate=message.learning_rate if message.HasField("learning_rate") else None,
        metrics=dict(message.metrics),
    )


def model_version_message(version: ModelVersion) -> fine_tuning_service_pb2.ModelVersion:
    """A model version for the contract."""
    values = asdict(version) | {"created_at": timestamp(version.created_at)}
    return fine_tuning_service_pb2.ModelVersion(**values)


def model_version_from(message: fine_tuning_service_pb2.ModelVersion) -> ModelVersion:
    """A model version as the service keeps it."""
    data = message.data
    return ModelVersion(
        model_version_id=message.model_version_id,
        run_id=message.run_id,
        path=message.path,
        base_model=message.base_model,
        batch_ids=tuple(message.batch_ids),
        policy_version=message.policy_version,
        data_fingerprint=message.data_fingerprint,
        data=DataCounts(
            data.input_count,
            data.training_queries,
            data.held_out_queries,
            data.items,
            data.items_without_text,
            data.inputs_without_text,
            data.inputs_outside_time,
        ),
        evaluation=evaluation_wire.evaluation_from(message.evaluation),
        promoted=message.promoted,
        gate_reason=message.gate_reason,
        created_at=utc(message.created_at),
        click_models=tuple(
            ClickModelScore(score.name, score.perplexity, score.log_likelihood, score.chosen)
            for score in message.click_models
        ),
        parent_model_version_id=message.parent_model_version_id,
    )


def run(found: TrainingRun) -> training_service_pb2.TrainingRun:
    """A run for the contract."""
    return training_service_pb2.TrainingRun(
        run_id=found.run_id,
        batch_ids=[batch_id_of(sequence) for sequence in found.batches],
        settings=settings_message(found.settings),
        state=f"TRAINING_RUN_STATE_{found.state.name}",
        reason=found.reason,
        progress=progress_message(found.progress) if found.progress else None,
        conversion=conversion_summary(found.conversion) if found.conversion else None,
        model_version=model_version_message(found.model_version) if found.model_version else None,
        attempts=found.attempts,
        cancel_requested=found.cancel_requested,
        queued_at=timestamp(found.queued_at),
        started_at=timestamp(found.started_at),
        ended_at=timestamp(found.ended_at),
        improves=found.improves,
    )
