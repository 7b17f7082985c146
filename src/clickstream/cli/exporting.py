"""`export sessions`: what was shown and done, as JSON Lines or UBI."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from clickstream.cli.connection import ADDRESS, JSON, calling, end
from clickstream.cli.exit_codes import ExitCode
from clickstream.cli.files import replace, sync, writing

if TYPE_CHECKING:
    from clickstream.client.admin import AdminClient

# Sessions between two notes of how far an export came.
_NOTED = 1_000


@click.group("export")
def export_group() -> None:
    """Write sessions and training inputs of a running service to files."""


@export_group.command("sessions")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file. One that is there is kept."
)
@click.option("--batch", "batch_ids", multiple=True, help="Only this batch; may be repeated. Default: all, by age.")
@click.option(
    "--form", type=click.Choice(["jsonl", "ubi"]), default="jsonl", show_default=True, help="How it is written."
)
@click.option("--numbers", is_flag=True, help="Write the batch and the number of each session, too (jsonl only).")
@JSON
@ADDRESS
def export_sessions(
    out: Path, batch_ids: tuple[str, ...], form: str, numbers: bool, as_json: bool, address: str
) -> None:
    """Write the sessions of batches with their events and marks, in order of their numbers.

    jsonl keeps all that the contract has, and `import jsonl` reads it back. ubi is the bulk form of UBI 1.3, which has
    no place for some of it: sessions that are marked irrelevant are left out and counted. A command that is killed goes
    on where it was. Exit code 3 if events are missing: the service lists 10,000 per session.
    """
    if numbers and form == "ubi":
        raise click.UsageError("--numbers needs --form jsonl: UBI has no place for them")
    if out.exists():
        raise click.UsageError(f"{out} is there already: delete it, or name another file")
    with calling(address) as client, writing(out):
        chosen = list(batch_ids) or [batch.batch_id for batch in reversed(list(client.batches()))]
        counts = _export(client, out, chosen, form, numbers)
    if as_json:
        click.echo(json.dumps({"path": str(out.resolve()), **counts}))
    else:
        click.echo(f"{out}: {counts['sessions']:,} sessions, {counts['events']:,} events")
        if counts["irrelevant_left_out"]:
            click.echo(f"left out: {counts['irrelevant_left_out']:,} sessions marked irrelevant, which UBI cannot say")
    if counts["omitted_events"]:
        end(
            f"{counts['omitted_events']:,} events are missing: the service lists 10,000 per session",
            ExitCode.PARTLY_DONE,
        )


def _export(client: "AdminClient", out: Path, batch_ids: list[str], form: str, numbers: bool) -> dict[str, int]:
    """Writes a file beside `out`, notes how far it came, and puts it in its place when it is whole."""
    part, note = out.with_name(f"{out.name}.part"), out.with_name(f"{out.name}.state")
    asked = {"batches": batch_ids, "form": form, "numbers": numbers}
    state: dict[str, Any] = {"asked": asked, "batch": 0, "after": 0, "bytes": 0, "counts": _NOTHING}
    if note.exists() and part.exists():
        kept = json.loads(note.read_text())
        if kept["asked"] != asked:
            end(f"{note} is of another export: delete it and {part.name}", ExitCode.WRONG_USE)
        state = kept
    counts = Counter(state["counts"])
    with part.open("r+b" if part.exists() else "w+b") as file:
        file.truncate(state["bytes"])
        file.seek(state["bytes"])

        def keep(batch: int, after: int) -> None:
            file.flush()
            os.fsync(file.fileno())
            values = {"asked": asked, "batch": batch, "after": after, "bytes": file.tell(), "counts": counts}
            replace(note, json.dumps(values).encode())

        for number in range(state["batch"], len(batch_ids)):
            after = state["after"] if number == state["batch"] else 0
            sessions = client.batch_sessions(batch_ids[number], after, include_irrelevant=True)
            _write(sessions, file, form, numbers, counts, lambda after, number=number: keep(number, after))  # type: ignore[misc]
            keep(number + 1, 0)
    part.rename(out)
    sync(out.parent)
    note.unlink()
    return dict(counts)


_NOTHING = {"sessions": 0, "events": 0, "omitted_events": 0, "irrelevant_left_out": 0}


def _write(
    sessions: Iterable[Any],
    file: BinaryIO,
    form: str,
    numbers: bool,
    counts: Counter[str],
    keep: Callable[[int], None],
) -> None:
    """Writes sessions, and calls `keep` with the number of the last one, now and then."""
    for written, stored in enumerate(sessions, start=1):
        if form == "ubi" and stored.irrelevant:
            counts["irrelevant_left_out"] += 1
        else:
            file.writelines(_lines(stored, form, numbers))
            counts["sessions"] += 1
            counts["events"] += len(stored.events)
            counts["omitted_events"] += stored.omitted_events
        if written % _NOTED == 0:
            keep(stored.session_number)


def _lines(stored: Any, form: str, numbers: bool) -> Iterator[bytes]:
    from clickstream.transfer.json_lines import line_of
    from clickstream.ubi.exporter import lines_of

    if form == "ubi":
        yield from lines_of(stored)
    else:
        yield line_of(stored, numbers)
