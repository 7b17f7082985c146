"""Lists of the service as tables: tasks of the improvement queue, batches, training runs and model versions."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import grpc
from embedding_studio.clickstream.v1 import batch_service_pb2 as batch
from embedding_studio.clickstream.v1 import fine_tuning_service_pb2 as fine_tuning
from embedding_studio.clickstream.v1 import model_service_pb2 as model
from embedding_studio.clickstream.v1 import training_service_pb2 as training
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clickstream.client.calls import batch_stub, call, model_stub, training_stub
from clickstream.forms import Form, task_state

PAGE = 100
"""Rows asked for at once, at most."""

UNBROKEN = 100_000
"""Columns that are more than any table needs."""


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
        yield ", ".join(f"{each.count:,} {task_state(each.state)}" for each in summary.counts)
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


def show(messages: Iterable[Message], form: Form, limit: int, console: Console, now: datetime) -> None:
    """Shows a table of at most `limit` messages, or that there is nothing; one message more tells that it was cut.

    Where there is no terminal, no id is cut or wrapped: a table is then as wide as it needs to be. On a terminal
    that is narrower than the table each message is told in brief, with times as seen from `now`.
    """
    found = list(islice(messages, limit + 1))
    if not found:
        console.print("nothing to show")
        return
    if not console.is_terminal:
        console.width = UNBROKEN
    table = Table()
    for title in form.columns:
        table.add_column(title, overflow="fold")
    for message in found[:limit]:
        table.add_row(*(_plain(say(message)) for say in form.columns.values()))
    told = f"the first {limit}; --limit N shows more. " if len(found) > limit else ""
    unbroken = console.options.update(max_width=UNBROKEN)
    if console.is_terminal and console.measure(table, options=unbroken).maximum > console.width:
        for line in (line for message in found[:limit] for line in form.brief(message, now, console.width)):
            console.print(_plain(line), no_wrap=True, overflow="ellipsis")
        console.print(f"{told}A wider terminal, or a pipe, shows ids and times in full.", highlight=False)
        return
    console.print(table, highlight=False)
    console.print(f"{told}Times are in UTC.", highlight=False)


def _plain(text: str) -> Text:
    """The text as it is: no markup, no `:key:` for an emoji, and nothing that steers the terminal."""
    return Text("".join(each if each.isprintable() else " " for each in text))
