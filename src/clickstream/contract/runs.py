"""Training runs, settings and progress: domain objects to contract messages; progress also back."""

from dataclasses import asdict, replace

from embedding_studio.clickstream.internal.v1 import fine_tuning_service_pb2
from embedding_studio.clickstream.v1 import fine_tuning_settings_pb2, training_progress_pb2, training_run_pb2

from clickstream.contract.encoding import timestamp, utc
from clickstream.contract.models import model_version_message
from clickstream.contract.training_inputs import conversion_summary_message
from clickstream.domain.batches import batch_id_of
from clickstream.domain.runs import CurvePoint, FineTuningSettings, Phase, TrainingProgress, TrainingRun

Progress = training_progress_pb2.TrainingProgress


def settings_message(value: FineTuningSettings) -> fine_tuning_settings_pb2.FineTuningSettings:
    """Settings for the contract."""
    values = asdict(value) | {"held_out_after": timestamp(value.held_out_after)}
    return fine_tuning_settings_pb2.FineTuningSettings(**values)


def progress_message(progress: TrainingProgress) -> Progress:
    """Progress for the contract, without the points of its curve."""
    values = asdict(replace(progress, points=())) | {"phase": f"PHASE_{progress.phase.name}"}
    del values["points"]
    return Progress(**values)


def report_message(progress: TrainingProgress) -> fine_tuning_service_pb2.FineTuneResponse:
    """The trainer's report: progress, with the new points of its curve."""
    points = map(curve_point_message, progress.points)
    return fine_tuning_service_pb2.FineTuneResponse(progress=progress_message(progress), points=points)


def report_from(response: fine_tuning_service_pb2.FineTuneResponse) -> TrainingProgress:
    """The trainer's report as a domain object."""
    message = response.progress
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
        points=tuple(_curve_point_from(point) for point in response.points),
        waits_for=message.waits_for,
    )


def curve_point_message(point: CurvePoint) -> training_progress_pb2.CurvePoint:
    """A point of a curve for the contract."""
    return training_progress_pb2.CurvePoint(**asdict(point) | {"logged_at": timestamp(point.logged_at)})


def _curve_point_from(message: training_progress_pb2.CurvePoint) -> CurvePoint:
    return CurvePoint(
        step=message.step,
        logged_at=utc(message.logged_at),
        loss=message.loss if message.HasField("loss") else None,
        learning_rate=message.learning_rate if message.HasField("learning_rate") else None,
        metrics=dict(message.metrics),
    )


def run_message(found: TrainingRun) -> training_run_pb2.TrainingRun:
    """A run for the contract."""
    return training_run_pb2.TrainingRun(
        run_id=found.run_id,
        batch_ids=[batch_id_of(sequence) for sequence in found.batches],
        settings=settings_message(found.settings),
        state=f"TRAINING_RUN_STATE_{found.state.name}",
        reason=found.reason,
        progress=progress_message(found.progress) if found.progress else None,
        conversion=conversion_summary_message(found.conversion) if found.conversion else None,
        model_version=model_version_message(found.model_version) if found.model_version else None,
        attempts=found.attempts,
        cancel_requested=found.cancel_requested,
        queued_at=timestamp(found.queued_at),
        started_at=timestamp(found.started_at),
        ended_at=timestamp(found.ended_at),
        from_improvement_queue=found.from_improvement_queue,
        robot_verdict_number=found.robot_verdict_number,
    )
