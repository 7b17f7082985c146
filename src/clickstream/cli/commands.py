"""The command group. Each command imports what it needs when it runs: `--help` and `serve` must start fast."""

import logging
import sys
from typing import Any

import click

from clickstream.cli.analytics import analytics
from clickstream.cli.backup import backup, restore_backup
from clickstream.cli.cancel import cancel
from clickstream.cli.demo import demo
from clickstream.cli.download import download
from clickstream.cli.embed import embed
from clickstream.cli.exit_codes import ExitCode
from clickstream.cli.exporting import export_group
from clickstream.cli.importing import import_group
from clickstream.cli.lists import TABLES
from clickstream.cli.promotion import promote, rollback
from clickstream.cli.quality import progress, quality
from clickstream.cli.release import release
from clickstream.cli.report import report
from clickstream.cli.retry import retry
from clickstream.cli.robots import robots
from clickstream.cli.serving import serve, trainer, worker
from clickstream.cli.sessions import mark, restore
from clickstream.cli.token import token
from clickstream.cli.training import train, watch


class Commands(click.Group):
    """A group whose commands end with the codes of `ExitCode`, also where click has other ones."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuses bytes that are no text: neither the contract nor our files can carry them."""
        for arg in args:
            try:
                arg.encode()
            except UnicodeEncodeError as error:
                raise click.UsageError(f"{arg!a} is not UTF-8") from error
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command. Ctrl-C is 130; click's own code for it, 1, would say that something failed."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(ExitCode.INTERRUPTED)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="docs/reference/exit-codes.md explains the exit codes; all commands share them.",
)
@click.version_option(package_name="clickstream", prog_name="clickstream")
@click.option(
    "--verbose",
    is_flag=True,
    help="Log everything at INFO, libraries too. Without it serve, worker and trainer log their own work at INFO, "
    "and everything else logs warnings.",
)
def main(verbose: bool) -> None:
    """Turn search click data into a measurably better embedding model."""
    # To stderr: stdout is for what a command was asked for.
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


for _command in (
    *(serve, trainer, worker),
    *(mark, restore, import_group, export_group),
    *(release, train, watch, cancel, promote, rollback, download, embed),
    *TABLES,
    *(backup, restore_backup),
    *(analytics, quality, progress, robots, report, retry, token, demo),
):
    main.add_command(_command)
