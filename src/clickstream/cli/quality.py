"""`quality` and `progress`."""

from typing import Any

import click

from clickstream.cli.connection import ADDRESS, JSON, asking
from clickstream.cli.window import chosen_window, time_options


@click.command()
@click.option("--batch", "batch_id", default="", help="Check this batch instead of a window of time.")
@click.option("--by", "group_by", type=click.Choice(("day", "batch", "client")), default=None, help="Also in groups.")
@time_options
@JSON
@ADDRESS
def quality(batch_id: str, group_by: str | None, as_json: bool, address: str, **times: Any) -> None:
    """Check whether the data can be trusted, and whether a model can be trained and judged by them.

    A check is WARN or FAIL only if the data show it beyond doubt. docs/analytics.md explains every check.
    """
    from clickstream.views.quality import show_quality
    from clickstream.views.tables import json_line

    if batch_id and any(times.values()):
        raise click.UsageError("give --batch or a window, not both")
    with asking(address) as client:
        answer = client.quality(None if batch_id else chosen_window(times), batch_id, group_by or "")
    if as_json:
        click.echo(json_line(answer))
    else:
        show_quality(answer)


@click.command()
@click.argument("batch_id", metavar="[BATCH]", default="")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="Largest number of batches.")
@JSON
@ADDRESS
def progress(batch_id: str, limit: int, as_json: bool, address: str) -> None:
    """Show what became of batches: their sessions, what converts and why not, and their runs."""
    from clickstream.views.quality import show_progress
    from clickstream.views.tables import json_line

    with asking(address) as client:
        answer = client.progress(batch_id, limit)
    if as_json:
        click.echo(json_line(answer))
    else:
        show_progress(answer)
