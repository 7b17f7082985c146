"""How tasks of the improvement queue, batches, runs and model versions look in a list: as a table row, or in brief."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from embedding_studio.clickstream.v1 import batch_service_pb2 as batch
from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb
from embedding_studio.clickstream.v1 import model_version_pb2 as versions_pb
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from google.protobuf.timestamp_pb2 import Timestamp

from clickstream.views.run_progress import doing, duration

# Columns kept free beside an id.
COLUMNS_BESIDE_ID = 30


@dataclass(frozen=True, slots=True)
class ListLayout:
    """How messages of one kind are shown in a list.

    Attributes:
        columns: Title of a column → the function that makes a message's cell.
        brief: (message, time now, columns of the terminal) → one or two lines, for a terminal that is too narrow for
            the table. The caller cuts each line at the terminal's width, so the most important words come first. An
            id is shortened only where it would push them out.
    """

    columns: Mapping[str, Callable[[Any], str]]
    brief: Callable[[Any, datetime, int], Iterable[str]]


def _time(at: Timestamp) -> str:
    return at.ToDatetime(UTC).strftime("%Y-%m-%d %H:%M:%S") if at.ToNanoseconds() else ""


def _rough(seconds: float) -> str:
    """`7 s`, `3 min`, `2 h` or `5 d`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def _ago(at: Timestamp, now: datetime) -> str:
    return f"{_rough((now - at.ToDatetime(UTC)).total_seconds())} ago"


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def _short(name: str, room: int) -> str:
    """A name cut to `room` columns, 5 at least: its beginning, `…` and its end."""
    room = max(room, 5)
    half = room // 2
    return name if len(name) <= room else f"{name[:half]}…{name[1 - half :]}"


def _name(enum: Any, prefix: str, number: int) -> str:
    # A newer server may know more states than this client.
    return str(enum.Name(number)).removeprefix(prefix).lower() if number in enum.values() else str(number)


def task_state(state: int) -> str:
    """`pending`, `processing` and so on."""
    return _name(improvement_pb.ImprovementState, "IMPROVEMENT_STATE_", state)


def _next_try(task: improvement_pb.ImprovementTask) -> str:
    return _time(task.not_before) if task.state == improvement_pb.IMPROVEMENT_STATE_PENDING else ""


def _brief_task(task: improvement_pb.ImprovementTask, now: datetime, width: int) -> Iterator[str]:
    parts = []
    wait = (task.not_before.ToDatetime(UTC) - now).total_seconds()
    if task.state == improvement_pb.IMPROVEMENT_STATE_PENDING and wait > 0:
        parts.append(f"next try in {_rough(wait)}")
    if task.attempts:
        parts.append(_counted(task.attempts, "run"))
    parts.append(f"queued {_ago(task.queued_at, now)}")
    yield f"{_short(task.session_id, width - COLUMNS_BESIDE_ID):24} {task_state(task.state):10} {', '.join(parts)}"
    if why := ": ".join(filter(None, (_short(task.run_id, width - COLUMNS_BESIDE_ID), task.reason))):
        yield f"    {why}"


TASKS = ListLayout(
    {
        "session": lambda task: task.session_id,
        "state": lambda task: task_state(task.state),
        "runs": lambda task: str(task.attempts),
        "queued": lambda task: _time(task.queued_at),
        "changed": lambda task: _time(task.updated_at),
        "next try": _next_try,
        "last run": lambda task: task.run_id,
        "model version": lambda task: task.model_version_id,
        "reason": lambda task: task.reason,
    },
    _brief_task,
)


def _batch_status(shown: batch.Batch) -> str:
    return _name(batch.BatchStatus, "BATCH_STATUS_", shown.status)


def _last_change(shown: batch.Batch) -> str:
    if not shown.history:
        return ""
    last = shown.history[-1]
    return f"{_time(last.at)} {last.reason}".strip()


def _brief_batch(shown: batch.Batch, now: datetime, width: int) -> Iterator[str]:
    parts, why = [_counted(shown.session_count, "session")], ""
    if shown.history:
        parts.append(f"changed {_ago(shown.history[-1].at, now)}")
        why = shown.history[-1].reason
    elif shown.HasField("opened_at"):
        parts.append(f"opened {_ago(shown.opened_at, now)}")
    yield f"{shown.batch_id:10} {_batch_status(shown):10} {', '.join(parts)}"
    if shown.run_id not in why:  # most reasons name it
        why = ": ".join(filter(None, (_short(shown.run_id, width - COLUMNS_BESIDE_ID), why)))
    if why:
        yield f"    {why}"


BATCHES = ListLayout(
    {
        "batch": lambda shown: shown.batch_id,
        "status": _batch_status,
        "sessions": lambda shown: f"{shown.session_count:,}",
        "opened": lambda shown: _time(shown.opened_at),
        "released": lambda shown: _time(shown.released_at),
        "last run": lambda shown: shown.run_id,
        "last change": _last_change,
    },
    _brief_batch,
)


def _run_state(run: runs_pb.TrainingRun) -> str:
    return _name(runs_pb.TrainingRunState, "TRAINING_RUN_STATE_", run.state)


def _over(run: runs_pb.TrainingRun) -> str:
    return "queue" if run.from_improvement_queue else ", ".join(run.batch_ids)


def _doing(run: runs_pb.TrainingRun) -> str:
    if run.state != runs_pb.TRAINING_RUN_STATE_RUNNING:
        return ""
    progress, text = run.progress, doing(run)
    if progress.step_count:
        text += f" {progress.step}/{progress.step_count}"
        if progress.remaining_seconds:
            text += f", {duration(progress.remaining_seconds)} left"
    return text


def _took(run: runs_pb.TrainingRun) -> str:
    if not run.HasField("ended_at") or not run.HasField("started_at"):
        return ""
    return duration((run.ended_at.ToDatetime() - run.started_at.ToDatetime()).total_seconds())


def _ndcg(version: versions_pb.ModelVersion) -> str:
    if not version.HasField("evaluation"):
        return ""
    return f"{version.evaluation.base.ndcg_at_10:.4f} -> {version.evaluation.new.ndcg_at_10:.4f}"


def _brief_run(run: runs_pb.TrainingRun, now: datetime, width: int) -> Iterator[str]:
    # The batches are last in their line: there may be a hundred.
    queued = f"queued {_ago(run.queued_at, now)}, over {_over(run)}"
    yield f"{_short(run.run_id, width - COLUMNS_BESIDE_ID):24} {_run_state(run):10} {queued}"
    ndcg = _ndcg(run.model_version)
    if outcome := ", ".join(filter(None, (_doing(run), ndcg and f"nDCG@10 {ndcg}", run.reason))):
        yield f"    {outcome}"


RUNS = ListLayout(
    {
        "run": lambda run: run.run_id,
        "state": _run_state,
        "over": _over,
        "doing": _doing,
        "queued": lambda run: _time(run.queued_at),
        "took": _took,
        "nDCG@10": lambda run: _ndcg(run.model_version),
        "reason": lambda run: run.reason,
    },
    _brief_run,
)


def _star(version: versions_pb.ModelVersion) -> str:
    return "*" if version.serving else ""


def _trained_from(version: versions_pb.ModelVersion) -> str:
    return version.parent_model_version_id or version.base_model


def _brief_model(version: versions_pb.ModelVersion, now: datetime, width: int) -> Iterator[str]:
    # 20 columns are for the star and both nDCGs.
    yield f"{_star(version):1} {_short(version.model_version_id, width - 20)} {_ndcg(version)}"
    # The parent has a row of its own with its whole id: here it leaves room for the gate's reason.
    made = f"{_ago(version.created_at, now)} from {_short(_trained_from(version), width - 50)}"
    yield f"    {made}: {version.gate_reason}"


MODELS = ListLayout(
    {
        "": _star,
        "model version": lambda version: version.model_version_id,
        "created": lambda version: _time(version.created_at),
        "nDCG@10": _ndcg,
        "gate": lambda version: version.gate_reason,
        "trained from": _trained_from,
    },
    _brief_model,
)
