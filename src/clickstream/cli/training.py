"""`train` and `watch`."""

import secrets
import sys
import time
from pathlib import Path
from typing import Any

import click

from clickstream.cli.connection import ADDRESS, calling
from clickstream.cli.qrels import read_trec
from clickstream.domain.judgements import JudgedQuery

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _judgements(qrels: Path | None, queries: Path | None) -> list[JudgedQuery]:
    if qrels is None and queries is None:
        return []
    if qrels is None or queries is None:
        raise click.UsageError("--qrels and --queries go together: qrels name queries by id, the log knows their text")
    try:
        return read_trec(qrels, queries)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


@click.command()
@click.argument("batches", metavar="BATCH...", nargs=-1, required=True)
@click.option("--run-id", help="Names the run; the same id with the same content starts nothing new.")
@click.option(
    "--base-model",
    help="What to train: a version, folder or name, or `base` for the configured base model. Default: the version that "
    "serves, if there is one. Short for --set base_model=...",
)
@click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting of the run; may be repeated."
)
@click.option("--qrels", type=_FILE, help="Judgements: lines `query-id iteration object-id grade`, as TREC has them.")
@click.option("--queries", type=_FILE, help="The judged queries: lines `query-id <tab> text`.")
@click.option("--watch", "watching", is_flag=True, help="Show the run until it ends; its outcome is the exit code.")
@ADDRESS
def train(
    batches: tuple[str, ...],
    run_id: str | None,
    base_model: str | None,
    assignments: tuple[str, ...],
    qrels: Path | None,
    queries: Path | None,
    watching: bool,
    address: str,
) -> None:
    """Start a training run over released batches."""
    from clickstream.cli.run_settings import parse_settings
    from clickstream.client.admin import start_training
    from clickstream.client.calls import training_stub

    try:
        settings = parse_settings([*assignments, *([f"base_model={base_model}"] if base_model else [])])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--set") from error
    judged = _judgements(qrels, queries)
    run_id = run_id or f"run-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
    with calling(address) as channel:
        created = start_training(training_stub(channel), run_id, batches, settings, judged)
        click.echo(f"{run_id} {'queued' if created else 'was started before'}")
        if watching:
            watch_to_the_end(channel, run_id)


@click.command()
@click.argument("run_id")
@ADDRESS
def watch(run_id: str, address: str) -> None:
    """Show a training run until it ends.

    Exit code 0 if it succeeded, promoted or not, 1 if it failed, 3 if it was canceled, 4 if the server
    stayed away for ten minutes. Ctrl-C stops watching, not the run, with exit code 130.
    """
    with calling(address) as channel:
        watch_to_the_end(channel, run_id)


def watch_to_the_end(channel: Any, run_id: str) -> None:
    """Shows a run until it ends, and ends the process with the outcome as its exit code."""
    import grpc
    from rich.console import Console

    from clickstream.client.admin import watch_training
    from clickstream.client.calls import is_passing, training_stub
    from clickstream.views.run_progress import follow, state_of

    again = f"To watch it again: clickstream watch {run_id}"

    try:
        run = follow(watch_training(training_stub(channel), run_id), Console())
    except KeyboardInterrupt:
        click.echo(f"\nNo longer watching; the run goes on. {again}", err=True)
        sys.exit(130)
    except grpc.RpcError as error:
        if not is_passing(error):
            raise
        click.echo(
            f"The server stays away: {error.details()}. The run does not need it to be watched. {again}", err=True
        )
        sys.exit(4)
    sys.exit({"succeeded": 0, "canceled": 3}.get(state_of(run), 1))
