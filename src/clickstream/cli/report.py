"""`report`."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from clickstream.cli.connection import ADDRESS, JSON, channel_to
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
@time_options
@JSON
@ADDRESS
def report(out: Path, segments: tuple[str, ...], as_json: bool, address: str, **times: Any) -> None:
    """Write a report about searches, data quality, robots, batches and models: one HTML file to open anywhere.

    It needs no network and runs no script. It contains queries, object ids and user ids as they were sent.
    """
    from clickstream.client.admin import AdminClient
    from clickstream.client.analytics import AnalyticsClient
    from clickstream.report.data import read_report
    from clickstream.report.page import page

    window = chosen_window(times, fixed=True)
    start, end = window.start.ToDatetime(UTC), window.end.ToDatetime(UTC)
    with channel_to(address) as channel:
        clients = AnalyticsClient(channel), AdminClient(channel)
        data = read_report(*clients, start, end, times["time_zone"], segments, datetime.now(UTC))
    with writing(out):
        replace(out, page(data).encode())
    path = str(out.resolve())
    click.echo(json.dumps({"path": path}) if as_json else f"report: {path}")
