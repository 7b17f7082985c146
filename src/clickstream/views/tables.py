"""Lists of the service as tables, and messages as JSON."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clickstream.views.columns import Form, task_state

UNBROKEN = 100_000
"""Columns that are more than any table needs."""


def json_line(message: Message) -> str:
    """The message in protobuf's JSON form with the contract's names, on one line."""
    return str(MessageToJson(message, preserving_proto_field_name=True, indent=None))


def summary_lines(summary: improvement_pb.ImprovementSummary) -> Iterator[str]:
    """The improvement queue's summary in lines: tasks by state, and why the pending ones wait."""
    if summary.counts:
        yield ", ".join(f"{each.count:,} {task_state(each.state)}" for each in summary.counts)
    if summary.open_run_id:
        yield f"the next run begins when {summary.open_run_id} is over"
    if summary.shortage:
        yield f"too few to begin a run: {summary.shortage}"


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
