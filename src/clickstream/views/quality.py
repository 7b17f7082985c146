"""Data quality, and what became of batches, in the terminal."""

from collections.abc import Iterable
from datetime import UTC, datetime

from embedding_studio.clickstream.v1 import analytics_service_pb2 as pb
from embedding_studio.clickstream.v1 import batch_service_pb2, data_quality_pb2, training_run_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from rich.table import Table

from clickstream.views.tables import console_of, plain

_STYLES = {"FAIL": "bold red", "WARN": "bold yellow"}
# Reasons why sessions give no input, that a row shows.
_REASONS = 3


def show_quality(answer: pb.GetDataQualityResponse) -> None:
    """Prints the steps, the checks, their examples and what to do."""
    console = console_of()
    for step in answer.steps:
        console.print(plain(f"{'reached' if step.is_reached else 'NOT reached':12}{step.name}"))
        for missing in step.missing:
            console.print(plain(f"{'':12}  {missing}"))
    console.print(_checks(answer.checks), highlight=False)
    for group in answer.groups:
        bad = [each for each in group.checks if mark_name(each) in _STYLES]
        found = ", ".join(f"{mark_name(each)} {each.id} {value_text(each)}" for each in bad)
        console.print(plain(f"{group.value}: {group.searches:,} searches; {found or 'nothing to see'}"))
    if answer.unnamed_types:
        found = ", ".join(f"{each.type} {each.count:,}" for each in answer.unnamed_types)
        console.print(plain(f"Event types that the importance policy does not name: {found}"))
    for refusal in answer.refusals:
        console.print(plain(f"refused: {refusal.count:,} {refusal.reason} of {refusal.client or 'an unnamed client'}"))
    for check in answer.checks:
        if check.advice:
            examples = f" See {', '.join(check.example_ids)}." if check.example_ids else ""
            console.print(plain(f"{mark_name(check)} {check.id}: {check.advice}{examples}"))


def _checks(checks: Iterable[data_quality_pb2.QualityCheck]) -> Table:
    table = Table()
    for title in ("", "check", "value", "counts", "WARN", "FAIL"):
        table.add_column(title, overflow="fold", justify="left" if title in ("", "check") else "right")
    for check in checks:
        name = mark_name(check)
        counts = f"{check.rate.numerator:,} of {check.rate.denominator:,}" if check.HasField("rate") else ""
        marks = [mark_text(check, field) for field in ("warn_mark", "fail_mark")]
        shown = plain(name)
        shown.stylize(_STYLES.get(name, ""))
        table.add_row(shown, *map(plain, (check.id, value_text(check), counts, *marks)))
    return table


def mark_name(check: data_quality_pb2.QualityCheck) -> str:
    """OK, WARN, FAIL, SHOWN, or `-` where there was nothing to measure."""
    name = data_quality_pb2.QualityMark.Name(check.mark).removeprefix("QUALITY_MARK_")
    return "-" if name == "UNSPECIFIED" else name


def value_text(check: data_quality_pb2.QualityCheck) -> str:
    """The value that a check measured, a share with its interval."""
    if check.HasField("rate"):
        return f"{check.rate.value * 100:.1f} % ({check.rate.lower * 100:.1f}-{check.rate.upper * 100:.1f})"
    return f"{check.value:.4g}" if check.HasField("value") else "-"


def mark_text(check: data_quality_pb2.QualityCheck, field: str) -> str:
    """A mark of a check: of a share in percent."""
    if not check.HasField(field):
        return ""
    mark = getattr(check, field)
    return f"{mark:g}" if check.HasField("value") else f"{mark * 100:g} %"


def show_progress(answer: pb.GetBatchProgressResponse) -> None:
    """Prints a row for each batch, and how long the improvement queue waits."""
    console = console_of()
    table = Table()
    for title in ("batch", "status", "sessions", "convert", "skipped", "first session", "runs"):
        table.add_column(title, overflow="fold", justify="right" if title in ("sessions", "convert") else "left")
    for each in answer.batches:
        status = status_name(each.batch)
        runs = ", ".join(f"{run.run_id} {run_state(run)}" for run in each.runs[:3])
        cells = (each.batch.batch_id, status, f"{each.batch.session_count:,}", f"{each.convertible_sessions:,}")
        first = each.first_session_at
        table.add_row(*map(plain, (*cells, skipped_text(each), _time(first) if first.seconds else "", runs)))
    console.print(table, highlight=False)
    if answer.pending_tasks:
        since = _time(answer.oldest_pending_task_queued_at)
        console.print(
            f"{answer.pending_tasks:,} sessions wait in the improvement queue since {since}.", highlight=False
        )
    console.print("Times are in UTC.", highlight=False)


def skipped_text(progress: pb.BatchProgress) -> str:
    """The most frequent reasons why sessions give no input."""
    most = sorted(progress.skipped_sessions.items(), key=lambda each: (-each[1], each[0]))
    more = ", …" if len(most) > _REASONS else ""
    return ", ".join(f"{count:,} {reason}" for reason, count in most[:_REASONS]) + more


def status_name(batch: batch_service_pb2.Batch) -> str:
    """The status of a batch, in lower case."""
    return batch_service_pb2.BatchStatus.Name(batch.status).removeprefix("BATCH_STATUS_").lower()


def run_state(run: pb.BatchRun) -> str:
    """The state of a run, in lower case."""
    return training_run_pb2.TrainingRunState.Name(run.state).removeprefix("TRAINING_RUN_STATE_").lower()


def _time(at: Timestamp) -> str:
    moment: datetime = at.ToDatetime(UTC)
    return moment.strftime("%Y-%m-%d %H:%M")
