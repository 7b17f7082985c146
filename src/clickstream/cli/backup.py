"""`backup` and `restore-backup`."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clickstream.cli.connection import end
from clickstream.cli.exit_codes import ExitCode
from clickstream.cli.serving import FILE, settings_of

if TYPE_CHECKING:
    from clickstream.app.backup import Account
    from clickstream.app.settings import Settings

DATA_DIR = click.option("--data-dir", type=FILE, help="Data folder of the server.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command()
@click.argument("file", type=FILE)
@DATA_DIR
@AS_JSON
def backup(file: Path, data_dir: Path | None, as_json: bool) -> None:
    """Write a backup of a data folder to FILE, a tar file, while its server runs or not.

    It holds the embedded MongoDB as of one moment, models and checkpoints, and personal data like the database. For a
    MongoDB of your own, see docs/backup.md.
    """
    from clickstream.app.backup import back_up

    _show("backed up", _carried_out(back_up, settings_of(data_dir=data_dir), file), as_json)


@click.command("restore-backup")
@click.argument("file", type=FILE)
@DATA_DIR
@AS_JSON
def restore_backup(file: Path, data_dir: Path | None, as_json: bool) -> None:
    """Fill an empty data folder from FILE, which `backup` wrote.

    What was erased since the backup is there again: erase it again.
    """
    from clickstream.app.backup import restore

    _show("restored", _carried_out(restore, settings_of(data_dir=data_dir), file), as_json)


def _carried_out(act: "Callable[[Settings, Path], Account]", settings: "Settings", file: Path) -> "Account":
    from clickstream.domain.errors import ClickstreamError, StartError

    try:
        return act(settings, file)
    except StartError as error:
        end(str(error), ExitCode.FAILED)
    except (ClickstreamError, ValueError) as error:
        end(str(error), ExitCode.WRONG_USE)


def _show(done: str, account: "Account", as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(account)))
        return
    documents = sum(account.documents.values())
    click.echo(
        f"{done}: {documents:,} documents of {len(account.documents)} collections and {account.files:,} files, "
        f"{account.bytes / 1e6:,.1f} MB, as of {account.taken_at}"
    )
