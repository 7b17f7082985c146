"""What engineers and schedulers look at in the terminal: the queue, batches, runs and models."""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import Any

import click

from clickstream.cli.connection import ADDRESS, calling
from clickstream.domain.batches import BatchStatus
from clickstream.domain.improvement import ImprovementState
from clickstream.domain.runs import RunState

OPEN = (ImprovementState.PENDING, ImprovementState.PROCESSING)


def _choice(kind: type[StrEnum]) -> click.Choice[str]:
    return click.Choice([each.value for each in kind])


_LIMIT = click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Show so many at most."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object per line, as the contract has it.")


@click.command()
@click.option(
    "--state",
    "states",
    multiple=True,
    type=_choice(ImprovementState),
    help="May be repeated.",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Every state; default: pending and processing, or with --run-id every state.",
)
@click.option("--run-id", default="", help="Only sessions that this run has, or had last.")
@_LIMIT
@_JSON
@ADDRESS
def queue(states: tuple[str, ...], everything: bool, run_id: str, limit: int, as_json: bool, address: str) -> None:
    """Show what the improvement queue holds, and of it what is open, what was put forward first on top."""
    from clickstream.client.admin import (
        improvement_summary,
        improvement_tasks,
    )
    from clickstream.views import columns

    if everything and states:
        raise click.UsageError("--all and --state exclude each other")
    wanted = () if everything or (run_id and not states) else states or OPEN
    with calling(address) as channel:
        if not as_json:
            from clickstream.views.tables import summary_lines

            for line in summary_lines(improvement_summary(channel)):
                click.echo(line)
        _show(improvement_tasks(channel, wanted, run_id), columns.TASKS, limit, as_json)


@click.command()
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=_choice(BatchStatus),
    help="May be repeated.",
)
@_LIMIT
@_JSON
@ADDRESS
def batches(statuses: tuple[str, ...], limit: int, as_json: bool, address: str) -> None:
    """Show batches, the newest on top."""
    from clickstream.client.admin import (
        batches,
    )
    from clickstream.views import columns

    with calling(address) as channel:
        _show(batches(channel, statuses), columns.BATCHES, limit, as_json)


@click.command()
@click.option("--state", "states", multiple=True, type=_choice(RunState), help="May be repeated.")
@_LIMIT
@_JSON
@ADDRESS
def runs(states: tuple[str, ...], limit: int, as_json: bool, address: str) -> None:
    """Show training runs, the newest on top."""
    from clickstream.client.admin import (
        training_runs,
    )
    from clickstream.views import columns

    with calling(address) as channel:
        _show(training_runs(channel, states), columns.RUNS, limit, as_json)


@click.command()
@click.option("--improved", is_flag=True, help="Only versions whose gate said yes.")
@_LIMIT
@_JSON
@ADDRESS
def models(improved: bool, limit: int, as_json: bool, address: str) -> None:
    """Show model versions, the newest on top; a star marks the promoted one."""
    from clickstream.client.admin import (
        model_versions,
        serving_version_id,
    )
    from clickstream.views import columns

    with calling(address) as channel:
        promoted = serving_version_id(channel)
        _show(model_versions(channel, improved), columns.models(promoted), limit, as_json)


TABLES = (queue, batches, runs, models)


def _show(messages: Iterable[Any], form: Any, limit: int, as_json: bool) -> None:
    from rich.console import Console

    from clickstream.views.tables import json_line, show

    if as_json:
        for message in islice(messages, limit):
            click.echo(json_line(message))
    else:
        show(messages, form, limit, Console(), datetime.now(UTC))
