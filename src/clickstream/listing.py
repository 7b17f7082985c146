"""Lists of the service as tables: tasks of the improvement queue, batches, training runs and model versions."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import grpc
from embedding_studio.clickstream.v1 import batch_service_pb2 as batch
from embedding_studio.clickstream.v1 import fine_tuning_service_pb2 as fine_tuning
from embedding_studio.clickstream.v1 import model_service_pb2 as model
from embedding_studio.clickstream.v1 import training_service_pb2 as training
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clickstream.client.calls import batch_stub, call, model_stub, training_stub
from clickstream.watching import doing, duration

PAGE = 100
"""Rows asked for at once, at most."""

UNBROKEN = 100_000
"""Columns that are more than any table needs."""

Columns = Mapping[str, Callable[[Any], str]]
"""By its title, what a column says of a message."""

Brief = Callable[[Any], Iterable[str]]
"""The lines that say the most important of a message; what does not fit one is cut."""

SHORT_ID = 20
"""Characters of an id that is told in brief."""


def improvement_tasks(channel: grpc.Channel, states: Sequence[str], run_id: str) -> Iterator[batch.ImprovementTask]:
    """Tasks in queueing order; no state and no run means any. Raises grpc.RpcError."""
    names = [f"IMPROVEMENT_STATE_{state.upper()}" for state in states]
    request = batch.ListImprovementTasksRequest(states=names, run_id=run_id)
    return _listed(batch_stub(channel).ListImprovementTasks, request, "tasks")


def improvement_summary(channel: grpc.Channel) -> Iterator[str]:
    """What the queue holds, and why its sessions wait, in lines. Raises grpc.RpcError."""
    request = batch.ListImprovementTasksRequest(page_size=1, include_summary=True)
    summary = call(batch_stub(channel).ListImprovementTasks, request).summary
    if summary.counts:
        yield ", ".join(f"{each.count:,} {_task_state(each.state)}" for each in summary.counts)
    if summary.open_run_id:
        yield f"the next run begins when {summary.open_run_id} is over"
    if summary.lack:
        yield f"too few to begin a run: {summary.lack}"


def batches(channel: grpc.Channel, statuses: Sequence[str]) -> Iterator[batch.Batch]:
    """Batches, the newest first; no status means any. Raises grpc.RpcError."""
    names = [f"BATCH_STATUS_{status.upper()}" for status in statuses]
    return _listed(batch_stub(channel).ListBatches, batch.ListBatchesRequest(statuses=names), "batches")


def training_runs(channel: grpc.Channel, states: Sequence[str]) -> Iterator[training.TrainingRun]:
    """Runs, the newest first; no state means any. Raises grpc.RpcError."""
    names = [f"TRAINING_RUN_STATE_{state.upper()}" for state in states]
    request = training.ListTrainingRunsRequest(states=names)
    return _listed(training_stub(channel).ListTrainingRuns, request, "runs")


def model_versions(channel: grpc.Channel, improved_only: bool) -> Iterator[fine_tuning.ModelVersion]:
    """Model versions, the newest first. Raises grpc.RpcError."""
    request = model.ListModelVersionsRequest(improved_only=improved_only)
    return _listed(model_stub(channel).ListModelVersions, request, "model_versions")


def promoted(channel: grpc.Channel) -> str:
    """The id of the promoted model version; empty if none is. Raises grpc.RpcError."""
    request = model.ListModelVersionsRequest(page_size=1)
    return str(call(model_stub(channel).ListModelVersions, request).promoted_model_version_id)


def _listed(method: Any, request: Any, field: str) -> Iterator[Any]:
    request.page_size = PAGE
    while True:
        response = call(method, request)
        yield from getattr(response, field)
        if not response.next_page_token:
            return
        request.page_token = response.next_page_token


def json_line(message: Message) -> str:
    """The message in protobuf's JSON form with the contract's names, on one line."""
    return str(MessageToJson(message, preserving_proto_field_name=True, indent=None))


def show(
    messages: Iterable[Message], columns: Columns, limit: int, console: Console, brief: Brief | None = None
) -> None:
    """Shows a table of at most `limit` messages, or that there is nothing; one message more tells that it was cut.

    Where there is no terminal, no id is cut or wrapped: a table is then as wide as it needs to be. On a terminal
    that is narrower than the table each message is told in brief, if that is given.
    """
    found = list(islice(messages, limit + 1))
    if not found:
        console.print("nothing to show")
        return
    if not console.is_terminal:
        console.width = UNBROKEN
    table = Table()
    for title in columns:
        table.add_column(title, overflow="fold")
    for message in found[:limit]:
        table.add_row(*(_plain(say(message)) for say in columns.values()))
    told = f"the first {limit}; --limit N shows more. " if len(found) > limit else ""
    unbroken = console.options.update(max_width=UNBROKEN)
    if brief and console.is_terminal and console.measure(table, options=unbroken).maximum > console.width:
        for line in (line for message in found[:limit] for line in brief(message)):
            console.print(_plain(line), no_wrap=True, overflow="ellipsis")
        console.print(f"{told}A wider terminal, or a pipe, shows ids and times in full.", highlight=False)
        return
    console.print(table, highlight=False)
    console.print(f"{told}Times are in UTC.", highlight=False)


def _plain(text: str) -> Text:
    """The text as it is: no markup, no `:key:` for an emoji, and nothing that steers the terminal."""
    return Text("".join(each if each.isprintable() else " " for each in text))


def _time(at: Timestamp) -> str:
    return at.ToDatetime(UTC).strftime("%Y-%m-%d %H:%M:%S") if at.ToNanoseconds() else ""


def _name(enum: Any, prefix: str, number: int) -> str:
    # A newer server may know more states than this client.
    return str(enum.Name(number)).removeprefix(prefix).lower() if number in enum.values() else str(number)


def _last_change(shown: batch.Batch) -> str:
    if not shown.history:
        return ""
    last = shown.history[-1]
    return f"{_time(last.at)} {last.reason}".strip()


def _took(run: training.TrainingRun) -> str:
    if not run.HasField("ended_at") or not run.HasField("started_at"):
        return ""
    return duration((run.ended_at.ToDatetime() - run.started_at.ToDatetime()).total_seconds())


def _running(run: training.TrainingRun) -> bool:
    return bool(run.state == training.TRAINING_RUN_STATE_RUNNING)


def _step(run: training.TrainingRun) -> str:
    if not run.progress.step_count:
        return ""
    left = f", {duration(run.progress.remaining_seconds)} left" if run.progress.remaining_seconds else ""
    return f"{run.progress.step}/{run.progress.step_count}{left}"


def _ndcg(version: fine_tuning.ModelVersion) -> str:
    if not version.HasField("evaluation"):
        return ""
    return f"{version.evaluation.base.ndcg_at_10:.4f} -> {version.evaluation.new.ndcg_at_10:.4f}"


def _task_state(state: int) -> str:
    return _name(batch.ImprovementState, "IMPROVEMENT_STATE_", state)


def _next_try(task: batch.ImprovementTask) -> str:
    return _time(task.not_before) if task.state == batch.IMPROVEMENT_STATE_PENDING else ""


def _short(name: str) -> str:
    """An id with its beginning and its end."""
    half = SHORT_ID // 2
    return name if len(name) <= SHORT_ID else f"{name[:half]}…{name[1 - half :]}"


def _rough(seconds: float) -> str:
    """`7 s`, `3 min`, `2 h` or `5 d`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def brief_task(now: datetime) -> Brief:
    """A task in two lines: what became of it, by the clock of this machine, and its last run with the reason."""

    def lines(task: batch.ImprovementTask) -> Iterator[str]:
        said = [f"queued {_rough((now - task.queued_at.ToDatetime(UTC)).total_seconds())} ago"]
        if task.attempts:
            said.append(f"{task.attempts} run{'s'[: task.attempts - 1]}")
        wait = (task.not_before.ToDatetime(UTC) - now).total_seconds()
        if task.state == batch.IMPROVEMENT_STATE_PENDING and wait > 0:
            said.append(f"next try in {_rough(wait)}")
        yield f"{_short(task.session_id):{SHORT_ID}} {_task_state(task.state):10} {', '.join(said)}"
        if why := ": ".join(filter(None, (_short(task.run_id), task.reason))):
            yield f"    {why}"

    return lines


TASK_COLUMNS: Columns = {
    "session": lambda task: task.session_id,
    "state": lambda task: _task_state(task.state),
    "runs": lambda task: str(task.attempts),
    "queued": lambda task: _time(task.queued_at),
    "changed": lambda task: _time(task.updated_at),
    "next try": _next_try,
    "last run": lambda task: task.run_id,
    "model version": lambda task: task.model_version_id,
    "reason": lambda task: task.reason,
}
BATCH_COLUMNS: Columns = {
    "batch": lambda shown: shown.batch_id,
    "status": lambda shown: _name(batch.BatchStatus, "BATCH_STATUS_", shown.status),
    "sessions": lambda shown: f"{shown.session_count:,}",
    "opened": lambda shown: _time(shown.opened_at),
    "released": lambda shown: _time(shown.released_at),
    "last run": lambda shown: shown.run_id,
    "last change": _last_change,
}
RUN_COLUMNS: Columns = {
    "run": lambda run: run.run_id,
    "state": lambda run: _name(training.TrainingRunState, "TRAINING_RUN_STATE_", run.state),
    "over": lambda run: "queue" if run.improves else ", ".join(run.batch_ids),
    "doing": lambda run: f"{doing(run)} {_step(run)}".strip() if _running(run) else "",
    "queued": lambda run: _time(run.queued_at),
    "took": _took,
    "nDCG@10": lambda run: _ndcg(run.model_version),
    "reason": lambda run: run.reason,
}


def model_columns(promoted_id: str) -> Columns:
    """The columns of model versions, of which this one is promoted."""
    return {
        "": lambda version: "*" if version.model_version_id == promoted_id else "",
        "model version": lambda version: version.model_version_id,
        "created": lambda version: _time(version.created_at),
        "nDCG@10": _ndcg,
        "gate": lambda version: version.gate_reason,
        "trained from": lambda version: version.parent_model_version_id or version.base_model,
    }
