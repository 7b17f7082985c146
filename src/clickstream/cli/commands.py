"""The command group. Each command imports what it needs when it runs: `serve` must start fast."""

import logging

import click

from clickstream.cli.demo import demo
from clickstream.cli.importing import import_group
from clickstream.cli.lists import TABLES
from clickstream.cli.retry import retry
from clickstream.cli.serving import serve, trainer, worker
from clickstream.cli.training import train, watch


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--verbose",
    is_flag=True,
    help="Log at INFO, libraries too. Without it serve, worker and trainer log what they do, and all else warnings.",
)
def main(verbose: bool) -> None:
    """Search click data, from the click to a measurably better embedding model."""
    # To stderr: stdout is for what a command was asked for.
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


for _command in (serve, trainer, worker, train, watch, import_group, demo, *TABLES, retry):
    main.add_command(_command)
