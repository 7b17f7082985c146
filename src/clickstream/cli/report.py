"""`report`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from clickstream.cli.connection import ADDRESS, channel_to
from clickstream.cli.files import replace, writing
from clickstream.cli.window import chosen_window, time_options


@click.command()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The file to write. One that is there is replaced.",
)
@click.option(
    "--segment",
    "segments",
    multiple=True,
    default=("client",),
    show_default=True,
    help="A dimension whose values stand side by side: client, context.locale. May be repeated.",
)
@ADDRESS
@time_options
def report(out: Path, segments: tuple[str, ...], address: str, **times: Any) -> None:
    """Write a report about searches, data quality, robots, batches and models: one HTML file to open anywhere.

    It needs no network and runs no script. It contains queries, object ids and user ids as they were sent.
    """
    from clickstream.views.report.data import read_report
    from clickstream.views.report.page import page

    window = chosen_window(times, fixed=True)
    start, end = window.start.ToDatetime(UTC), window.end.ToDatetime(UTC)
    with channel_to(address) as channel:
        data = read_report(channel, start, end, times["time_zone"], segments, datetime.now(UTC))
    with writing(out):
        replace(out, page(data).encode())
    click.echo(f"report: {out.resolve()}")
