"""The sections of a report about what can be trusted and what became of it: quality, robots, batches, runs, models."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from embedding_studio.clickstream.v1 import data_quality_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from clickstream.report import charts
from clickstream.report.charts import Point
from clickstream.report.data import ReportData
from clickstream.report.html import element, figure, joined, paragraph, table, text
from clickstream.views.quality import mark_name, mark_text, run_state, skipped_text, status_name, value_text
from clickstream.views.robots import findings_text

_KINDS = {"OK": "good", "FAIL": "bad", "WARN": "doubt"}
_SYMBOLS = {"OK": "✓", "FAIL": "✗", "WARN": "!", "SHOWN": "·", "-": "·"}


def quality(data: ReportData) -> str:
    """Data quality with its four steps."""
    answer = data.quality
    steps = [
        element(
            "li",
            element(
                "span",
                text(f"{'✓ reached' if step.is_reached else '✗ not reached'}: {step.name}"),
                class_=f"verdict {'good' if step.is_reached else 'bad'}",
            ),
            *(paragraph(missing, class_="note") for missing in step.missing),
        )
        for step in answer.steps
    ]
    cells = []
    for check in answer.checks:
        name = mark_name(check)
        counts = f"{check.rate.numerator:,} of {check.rate.denominator:,}" if check.HasField("rate") else ""
        marks = " / ".join(mark for field in ("warn_mark", "fail_mark") if (mark := mark_text(check, field)))
        about = " (approximate)" if check.is_approximate else ""
        cells.append(
            (f"{_SYMBOLS[name]} {name}", f"{check.id}: {check.description}{about}", value_text(check), counts, marks)
        )
    titles = ("mark", "check", "value", "counts", "WARN / FAIL beyond")
    checks = table("Checks; a mark is given only if the whole 95 % interval lies beyond it", titles, cells)
    advice = [_advice(each) for each in answer.checks if each.advice]
    todo = element("ul", *advice) if advice else paragraph("No check is beyond its mark.")
    refused = [(each.reason, each.client or "(none)", _number(each.count)) for each in answer.refusals]
    refusals = table("Refused (approximate)", ("reason", "client", "count"), refused, numbers=2) if refused else ""
    return joined(
        element("ol", *steps, class_="steps"),
        element("h3", text("What to do")),
        todo,
        checks,
        refusals,
    )


def _advice(check: data_quality_pb2.QualityCheck) -> str:
    name = mark_name(check)
    mark = element("span", text(f"{_SYMBOLS[name]} {name}"), class_=f"verdict {_KINDS[name]}")
    seen = f" Seen in {', '.join(check.example_ids)}." if check.example_ids else ""
    return element("li", mark, text(f" {check.id}: {check.advice}{seen}"))


def robots(data: ReportData) -> str:
    """Robots and the latest verdicts."""
    total = data.over_time.total
    share = total.robot_searches / max(1, total.robot_searches + total.searches)
    said = f"{total.robot_searches:,} searches of the window are of robots: {share:.1%} of the relevant ones."
    judged = data.judged
    pairs = f"of {judged.user_days:,} pairs of user and UTC day at the end of the window"
    unsure = (
        f"By the policy {judged.policy_version}, {pairs} {judged.robot_user_days:,} are robots, and of "
        f"{judged.unsure_user_days:,} it is unsure: these count, and they train."
    )
    cells = [
        (
            str(each.number),
            each.user_id,
            each.day,
            "all before void" if each.undoes_all else "robot" if each.robot else "no robot",
            "yes" if each.in_force else "no",
            each.by,
            each.reason or findings_text(each.findings),
        )
        for each in data.verdicts
    ]
    titles = ("number", "user", "day", "verdict", "in force", "by", "why")
    listed = table("The latest verdicts", titles, cells) if cells else paragraph("There is no verdict.")
    return joined(paragraph(said), paragraph(unsure), listed)


def batches(data: ReportData) -> str:
    """Batches with their sessions, and runs."""
    answer = data.progress
    cells = [
        (
            each.batch.batch_id,
            status_name(each.batch),
            _number(each.batch.session_count),
            _number(each.convertible_sessions),
            skipped_text(each) or "none",
            _time(each.first_session_at, data),
        )
        for each in answer.batches
    ]
    titles = ("batch", "status", "sessions", "convert", "skipped", "first session")
    listed = table("The newest batches", titles, cells) if cells else paragraph("There is no batch yet.")
    seen = {run.run_id: run for each in answer.batches for run in each.runs}
    newest = sorted(seen.values(), key=lambda run: run.queued_at.ToNanoseconds(), reverse=True)
    runs = [
        (
            run.run_id,
            run_state(run),
            _time(run.queued_at, data),
            _time(run.ended_at, data),
            _number(run.input_count),
            run.reason,
        )
        for run in newest
    ]
    titles = ("run", "state", "queued", "ended", "inputs", "reason")
    of_runs = table("The runs over these batches", titles, runs) if runs else paragraph("No run trained on them.")
    collecting = next((each for each in answer.batches if status_name(each.batch) == "collecting"), None)
    notes = []
    if collecting is not None and collecting.first_session_at.seconds:
        age = data.made_at - collecting.first_session_at.ToDatetime(UTC)
        notes.append(f"{collecting.batch.batch_id} collects since {_age(age.total_seconds())}.")
    if answer.pending_tasks:
        waits = data.made_at - answer.oldest_pending_task_queued_at.ToDatetime(UTC)
        waiting = f"{answer.pending_tasks:,} sessions wait in the improvement queue"
        notes.append(f"{waiting}, the first since {_age(waits.total_seconds())}.")
    return joined(*map(paragraph, notes), listed, of_runs)


def models(data: ReportData) -> str:
    """Model versions with their gain."""
    versions = data.versions
    if not versions:
        return joined(paragraph("No model version was made yet."))
    gains = [each.evaluation.ndcg_gain for each in versions]
    names = [each.model_version_id for each in versions]
    points = [Point(each.mean, each.lower, each.upper) for each in gains]
    drawing = charts.intervals("Gain in nDCG@10 by model version", names, points)
    cells = [
        (
            each.model_version_id,
            "serves" if each.serving else "",
            "passed" if each.gate_passed else "not passed",
            f"{each.evaluation.base.ndcg_at_10:.3f}",
            f"{each.evaluation.new.ndcg_at_10:.3f}",
            f"{gain.mean:+.4f} ({gain.lower:+.4f} to {gain.upper:+.4f})",
            _number(each.data.held_out_queries),
        )
        for each, gain in zip(versions, gains, strict=True)
    ]
    titles = ("version", "", "gate", "nDCG@10 of its base", "of its own", "gain (95 %)", "held-out queries")
    listed = table("Model versions, the newest first", titles, cells, numbers=3)
    note = "Each version against the model that its training began with, on searches that it never trained on."
    return joined(figure(drawing, listed, note))


def _number(value: int) -> str:
    return f"{value:,}"


def _time(at: Timestamp, data: ReportData) -> str:
    if not at.seconds:
        return ""
    moment: datetime = at.ToDatetime(UTC)
    return moment.astimezone(ZoneInfo(data.time_zone)).strftime("%Y-%m-%d %H:%M")


def _age(seconds: float) -> str:
    hours = max(0.0, seconds) / 3_600
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
