"""`import`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clickstream.cli.connection import ADDRESS, JSON, opened
from clickstream.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from clickstream.transfer.account import ImportAccount


@click.group("import")
def import_group() -> None:
    """Send recorded history to a running service."""


@import_group.command("ubi")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@JSON
@ADDRESS
def import_ubi_command(file: Path, as_json: bool, address: str) -> None:
    """Import OpenSearch UBI queries and events from FILE (bulk form or plain ndjson).

    Importing the same file again changes nothing. Exit code 1 if no document could be used, 3 if some could not, and
    4 if the server went away: then import the file again.
    """
    from rich.console import Console

    from clickstream.ubi.importer import import_ubi
    from clickstream.views.import_account import account_as_data, show_account

    console = Console(stderr=as_json)
    with opened(address) as channel:
        account = import_ubi(file, channel, console)
    if as_json:
        click.echo(json.dumps(account_as_data(account), ensure_ascii=False))
    else:
        show_account(account, console)
    sys.exit(_exit_code_of(account))


def _exit_code_of(account: "ImportAccount") -> ExitCode:
    if not account.balanced:
        return ExitCode.FAILED
    if account.stopped:
        return ExitCode.SERVER_AWAY if account.may_repeat else ExitCode.REFUSED
    if not account.usable:
        return ExitCode.FAILED
    return ExitCode.PARTLY_DONE if account.unusable else ExitCode.DONE
