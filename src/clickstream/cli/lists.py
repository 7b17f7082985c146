"""`queue`, `batches`, `runs` and `models`: what engineers and schedulers look at in the terminal."""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import Any

import click

from clickstream.cli.connection import ADDRESS, JSON, calling
from clickstream.domain.batches import BatchStatus
from clickstream.domain.improvement import ImprovementState
from clickstream.domain.runs import RunState

OPEN = (ImprovementState.PENDING, ImprovementState.PROCESSING)


def _choice(kind: type[StrEnum]) -> click.Choice[str]:
    return click.Choice([each.value for each in kind])


_LIMIT = click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Largest number of rows to show."
)


@click.command()
@click.option(
    "--state", "states", multiple=True, type=_choice(ImprovementState), help="Only this state. May be repeated."
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Every state. Default: pending and processing; with --run-id, every state.",
)
@click.option("--run-id", default="", help="Only sessions whose last training run is this one.")
@_LIMIT
@JSON
@ADDRESS
def queue(states: tuple[str, ...], everything: bool, run_id: str, limit: int, as_json: bool, address: str) -> None:
    """Show the improvement queue: its counts and its open tasks, the oldest first."""
    from clickstream.views import columns

    if everything and states:
        raise click.UsageError("give --all or --state, not both")
    wanted = () if everything or (run_id and not states) else states or OPEN
    with calling(address) as client:
        if not as_json:
            from clickstream.views.tables import summary_lines

            for line in summary_lines(client.improvement_summary()):
                click.echo(line)
        _show(client.improvement_tasks(wanted, run_id), columns.TASKS, limit, as_json)


@click.command()
@click.option(
    "--status", "statuses", multiple=True, type=_choice(BatchStatus), help="Only this status. May be repeated."
)
@_LIMIT
@JSON
@ADDRESS
def batches(statuses: tuple[str, ...], limit: int, as_json: bool, address: str) -> None:
    """Show batches, the newest first."""
    from clickstream.views import columns

    with calling(address) as client:
        _show(client.batches(statuses), columns.BATCHES, limit, as_json)


@click.command()
@click.option("--state", "states", multiple=True, type=_choice(RunState), help="Only this state. May be repeated.")
@_LIMIT
@JSON
@ADDRESS
def runs(states: tuple[str, ...], limit: int, as_json: bool, address: str) -> None:
    """Show training runs, the newest first."""
    from clickstream.views import columns

    with calling(address) as client:
        _show(client.training_runs(states), columns.RUNS, limit, as_json)


@click.command()
@click.option("--gate-passed", is_flag=True, help="Only versions whose gate passed.")
@_LIMIT
@JSON
@ADDRESS
def models(gate_passed: bool, limit: int, as_json: bool, address: str) -> None:
    """Show model versions, the newest first. A star marks the one that serves; in JSON, `serving` does."""
    from clickstream.views import columns

    with calling(address) as client:
        _show(client.model_versions(gate_passed), columns.MODELS, limit, as_json)


TABLES = (queue, batches, runs, models)


def _show(messages: Iterable[Any], layout: Any, limit: int, as_json: bool) -> None:
    from rich.console import Console

    from clickstream.views.tables import json_line, show

    if as_json:
        for message in islice(messages, limit):
            click.echo(json_line(message))
    else:
        show(messages, layout, limit, Console(), datetime.now(UTC))
