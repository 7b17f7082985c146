"""`mark` and `restore`: which sessions count."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

import click

from clickstream.cli.connection import ADDRESS, JSON, calling
from clickstream.cli.one_by_one import end_with, for_each_session

if TYPE_CHECKING:
    from clickstream.client.admin import AdminClient

_IDS = click.argument("session_ids", nargs=-1)
_FILE = click.option(
    "--file", type=click.File(encoding="utf-8"), help="Read ids from this file, one per line; - reads stdin."
)


@click.command()
@_IDS
@_FILE
@JSON
@ADDRESS
def mark(session_ids: tuple[str, ...], file: TextIO | None, as_json: bool, address: str) -> None:
    """Mark sessions as irrelevant, so that batch reads and training leave them out.

    Exit code 3 if some were refused, 5 if all were.
    """
    _each(session_ids, file, as_json, address, "marked irrelevant", lambda client: client.mark_irrelevant)


@click.command()
@_IDS
@_FILE
@JSON
@ADDRESS
def restore(session_ids: tuple[str, ...], file: TextIO | None, as_json: bool, address: str) -> None:
    """Restore sessions that were marked irrelevant, so that they count again.

    Exit code 3 if some were refused, 5 if all were.
    """
    _each(session_ids, file, as_json, address, "restored", lambda client: client.restore)


def _each(
    session_ids: tuple[str, ...],
    file: TextIO | None,
    as_json: bool,
    address: str,
    what: str,
    method: "Callable[[AdminClient], Callable[[str], Any]]",
) -> None:
    from clickstream.views.tables import json_line

    if not session_ids and file is None:
        raise click.UsageError("name sessions, or a --file with their ids")

    def show(session_id: str, answer: Any) -> None:
        if as_json:
            click.echo(json_line(answer))

    with calling(address) as client:
        done, refused = for_each_session(_ids(session_ids, file), method(client), show)
    click.echo(f"{done:,} {what}, {refused:,} refused", err=as_json)
    end_with(done, refused)


def _ids(session_ids: tuple[str, ...], file: TextIO | None) -> Iterator[str]:
    """The ids of the command line, then those of the file; blank lines are left out."""
    yield from session_ids
    try:
        yield from filter(None, (line.strip() for line in file or ()))
    except UnicodeDecodeError as error:
        raise click.UsageError(f"--file: is not UTF-8: {error}") from error
