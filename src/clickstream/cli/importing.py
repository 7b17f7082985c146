"""`import`."""

import sys
from pathlib import Path

import click

from clickstream.cli.connection import ADDRESS


@click.group("import")
def import_group() -> None:
    """Send recorded history to a running service."""


@import_group.command("ubi")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@ADDRESS
def import_ubi_command(file: Path, address: str) -> None:
    """Import OpenSearch UBI queries and events (bulk form or plain ndjson)."""
    import grpc
    from rich.console import Console

    from clickstream.ubi.importer import import_ubi
    from clickstream.views.import_account import show_account

    console = Console()
    with grpc.insecure_channel(address) as channel:
        account = import_ubi(file, channel, console)
    show_account(account, console)
    sys.exit(0 if account.balanced and not account.stopped else 1)
