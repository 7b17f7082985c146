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

from clickstream.views.columns import ListLayout, task_state

# More columns than any table needs.
UNBROKEN = 100_000


def json_line(message: Message) -> str:
    """The message in protobuf's JSON form on one line: with the contract's names, and with zeros and empty lists."""
    return str(
        MessageToJson(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=None)
    )


def summary_lines(summary: improvement_pb.ImprovementSummary) -> Iterator[str]:
    """The improvement queue's summary in lines: the number of tasks in each state, and why the pending ones wait."""
    if summary.counts:
        yield ", ".join(f"{each.count:,} {task_state(each.state)}" for each in summary.counts)
    if summary.open_run_id:
        yield f"the next run begins when {summary.open_run_id} has ended"
    if summary.shortage:
        yield f"too few to begin a run: {summary.shortage}"


def show(messages: Iterable[Message], layout: ListLayout, limit: int, console: Console, now: datetime) -> None:
    """Prints up to `limit` messages. Reads one more to know whether to say that the list was cut.

    Without a terminal, the table is as wide as it needs to be, so that no id is cut or wrapped. On a terminal that is
    narrower than the table, each message is shown in brief, with times as ages at `now`.
    """
    found = list(islice(messages, limit + 1))
    if not found:
        console.print("nothing to show")
        return
    if not console.is_terminal:
        console.width = UNBROKEN
    table = Table()
    for title in layout.columns:
        table.add_column(title, overflow="fold")
    for message in found[:limit]:
        table.add_row(*(plain(cell(message)) for cell in layout.columns.values()))
    cut = f"the first {limit}; --limit N shows more. " if len(found) > limit else ""
    unbroken = console.options.update(max_width=UNBROKEN)
    if console.is_terminal and console.measure(table, options=unbroken).maximum > console.width:
        for line in (line for message in found[:limit] for line in layout.brief(message, now, console.width)):
            console.print(plain(line), no_wrap=True, overflow="ellipsis")
        console.print(f"{cut}A wider terminal, or a pipe, shows ids and times in full.", highlight=False)
        return
    console.print(table, highlight=False)
    console.print(f"{cut}Times are in UTC.", highlight=False)


def console_of() -> Console:
    """The terminal; without one, lines are as long as they need to be, so that no id is cut."""
    console = Console()
    if not console.is_terminal:
        console.width = UNBROKEN
    return console


def plain(text: str) -> Text:
    """The text letter by letter: no markup, no `:key:` for an emoji, no control characters for the terminal."""
    return Text("".join(each if each.isprintable() else " " for each in text))
