"""`import ubi` and `import jsonl`."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from clickstream.cli.connection import ADDRESS, JSON, end, opened
from clickstream.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from clickstream.transfer.account import ImportAccount

FILES = click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
STATE = click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File where the import keeps what it has read and sent. After a crash, the same command goes on there. It is "
    "deleted at the end. Without it, repeat the import from the start: nothing is stored twice.",
)


@click.group("import")
def import_group() -> None:
    """Send recorded history to a running service."""


@import_group.command("ubi")
@FILES
@STATE
@JSON
@ADDRESS
def import_ubi_command(files: tuple[Path, ...], state: Path | None, as_json: bool, address: str) -> None:
    """Import OpenSearch UBI queries and events from FILES.

    A file may have the bulk form, one document per line, an array, dump lines, or gzip of them. Searches and their
    events may stand in different files: name them all. Importing the same files again changes nothing. Exit code 1 if
    no document could be used, 3 if some could not, and 4 if the server went away: then repeat the import.
    """
    from clickstream.ubi.importer import import_ubi

    def run(channel: Any, progress: Any) -> "ImportAccount":
        return import_ubi(files, channel, progress=progress, kept_at=state)

    imported(run, as_json, address)


@import_group.command("jsonl")
@FILES
@JSON
@ADDRESS
def import_jsonl(files: tuple[Path, ...], as_json: bool, address: str) -> None:
    """Import sessions from FILES as `export sessions` writes them: one per line, with events and marks.

    Importing the same files again changes nothing. Exit codes as of `import ubi`.
    """
    from clickstream.transfer.account import ImportAccount
    from clickstream.transfer.importing import send
    from clickstream.transfer.json_lines import read_sessions

    def run(channel: Any, progress: Any) -> ImportAccount:
        account = ImportAccount()
        return send(read_sessions(files, account), account, channel, progress=progress)

    imported(run, as_json, address)


def imported(run: "Callable[[Any, Any], ImportAccount]", as_json: bool, address: str) -> NoReturn:
    """Runs an import with a channel and a progress, prints its account, and ends with its exit code."""
    from rich.console import Console

    from clickstream.views.import_account import account_as_data, show_account
    from clickstream.views.transfer_progress import transfer_progress

    console = Console(stderr=as_json)
    with opened(address) as channel, transfer_progress(console) as progress, readable():
        account = run(channel, progress)
    if as_json:
        click.echo(json.dumps(account_as_data(account), ensure_ascii=False))
    else:
        show_account(account, console)
    sys.exit(exit_code_of_account(account))


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Ends the command in one line where a file cannot be read, or has not the form that the command needs."""
    try:
        yield
    except (OSError, ValueError) as error:
        end(str(error), ExitCode.WRONG_USE)


def exit_code_of_account(account: "ImportAccount") -> ExitCode:
    """The exit code of an import that has ended."""
    if not account.balanced:
        return ExitCode.FAILED
    if account.stopped:
        return ExitCode.SERVER_AWAY if account.may_repeat else ExitCode.REFUSED
    if not account.usable:
        return ExitCode.FAILED
    return ExitCode.PARTLY_DONE if account.unusable else ExitCode.DONE
