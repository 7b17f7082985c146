"""Data quality and the progress of batches as messages of the contract."""

from embedding_studio.clickstream.v1 import analytics_service_pb2 as pb
from embedding_studio.clickstream.v1 import data_quality_pb2

from clickstream.contract.analytics import coverage_message, rate_message
from clickstream.contract.batches import batch_message
from clickstream.contract.encoding import timestamp
from clickstream.contract.robots import day_text
from clickstream.domain.progress import BatchProgress
from clickstream.domain.quality import Mark, Quality, QualityCheck
from clickstream.domain.runs import TrainingRun


def quality_message(found: Quality) -> pb.GetDataQualityResponse:
    """The message of all checks."""
    return pb.GetDataQualityResponse(
        checks=map(_check, found.checks),
        steps=(
            data_quality_pb2.QualityStep(name=each.name, is_reached=each.is_reached, missing=each.missing)
            for each in found.steps
        ),
        groups=(
            data_quality_pb2.QualityGroup(value=each.value, searches=each.searches, checks=map(_check, each.checks))
            for each in found.groups
        ),
        unnamed_types=(data_quality_pb2.EventTypeCount(type=name, count=count) for name, count in found.unnamed_types),
        refusals=(
            data_quality_pb2.Refusals(reason=each.reason, client=each.client, count=each.count)
            for each in found.refusals
        ),
        coverage=coverage_message(found.coverage),
    )


def _check(found: QualityCheck) -> data_quality_pb2.QualityCheck:
    check, is_bad = found.check, found.mark in (Mark.WARN, Mark.FAIL)
    return data_quality_pb2.QualityCheck(
        id=check.id,
        description=check.description,
        rate=rate_message(found.rate.numerator, found.rate.denominator) if found.rate else None,
        value=found.value,
        mark=f"QUALITY_MARK_{found.mark.name}",
        warn_mark=check.warn,
        fail_mark=check.fail,
        example_ids=found.example_ids,
        advice=check.advice if is_bad else "",
        is_approximate=check.is_approximate,
    )


def progress_message(found: BatchProgress) -> pb.BatchProgress:
    """The message of a batch and what became of it."""
    return pb.BatchProgress(
        batch=batch_message(found.batch),
        first_session_at=timestamp(found.first_session_at),
        last_session_at=timestamp(found.last_session_at),
        sessions_by_day={day_text(day): count for day, count in found.sessions_by_day.items()},
        convertible_sessions=found.converts,
        skipped_sessions=found.skipped,
        runs=map(_run, found.runs),
    )


def _run(run: TrainingRun) -> pb.BatchRun:
    message = pb.BatchRun(
        run_id=run.run_id,
        state=f"TRAINING_RUN_STATE_{run.state.name}",
        reason=run.reason,
        queued_at=timestamp(run.queued_at),
        ended_at=timestamp(run.ended_at),
        input_count=run.conversion.input_count if run.conversion else 0,
    )
    if run.model_version is not None:
        message.gate_passed = run.model_version.gate_passed
    return message
