"""`analytics figures`, `analytics top` and `analytics compare`."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from clickstream.cli.connection import ADDRESS, JSON, asking

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_BUCKETS = ("hour", "day", "week")
_LISTS = (
    *("queries", "queries-without-results", "queries-without-clicks", "lowest-click-through"),
    *("items", "items-without-clicks", "rising", "falling"),
)
_FILTER = click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="DIMENSION=VALUE",
    help="Keep what has this value. May be repeated: values of one dimension are alternatives, dimensions all hold.",
)


def _last(_context: click.Context, _parameter: click.Parameter, value: str | None) -> timedelta | None:
    if value is None:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,3})([hdw])", value)
    if match is None:
        raise click.BadParameter("write a number of hours, days or weeks: 12h, 30d or 4w")
    return int(match[1]) * _UNITS[match[2]]


def _moment(_context: click.Context, _parameter: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter("write a time as 2026-11-26 or 2026-11-26T14:30") from error


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a window and of the searches that count."""
    for option in reversed(
        (
            click.option("--from", "start", callback=_moment, help="First moment of the window, in its time zone."),
            click.option("--to", "end", callback=_moment, help="First moment behind the window. Default: now."),
            click.option("--last", callback=_last, help="Length of the window instead of --from: 12h, 30d, 4w."),
            click.option("--time-zone", default="", help="Where days begin: `Europe/Berlin`. Default: UTC."),
            click.option("--include-irrelevant", is_flag=True, help="Also searches that are marked irrelevant."),
            click.option("--collapse-typing", is_flag=True, help="Count a query that was being typed once."),
            JSON,
            ADDRESS,
        )
    ):
        command = option(command)
    return command


@click.group()
def analytics() -> None:
    """Show figures of searches: counts and rates, lists, comparisons.

    docs/analytics.md explains every figure.
    """


@analytics.command()
@click.option("--by", "bucket", type=click.Choice(_BUCKETS), default=None, help="Break the window down.")
@click.option("--dimension", default="", help="Break down by query, object, client, context.locale and so on.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="Number of values.")
@_FILTER
@_options
def figures(
    bucket: str | None, dimension: str, limit: int, filters: tuple[str, ...], as_json: bool, address: str, **times: Any
) -> None:
    """Show counts and rates of a window, of its parts, or of the values of a dimension."""
    from clickstream.views.figures import show_figures
    from clickstream.views.tables import json_line

    with asking(address) as client:
        answer = client.figures(
            _window(times), bucket or "", dimension, _filters(filters), _population(times), limit if dimension else 0
        )
    if as_json:
        click.echo(json_line(answer))
    else:
        show_figures(answer, times["time_zone"] or "UTC", bucket or "", dimension)


@analytics.command()
@click.argument("wanted", metavar="LIST", type=click.Choice(_LISTS))
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Largest number of rows.")
@click.option("--min-searches", type=click.IntRange(min=0), default=0, help="Leave out what has fewer searches.")
@_FILTER
@_options
def top(
    wanted: str, limit: int, min_searches: int, filters: tuple[str, ...], as_json: bool, address: str, **times: Any
) -> None:
    """List queries or items: queries, queries-without-results, items-without-clicks, rising and so on."""
    from clickstream.views.figures import show_top
    from clickstream.views.tables import json_line

    with asking(address) as client:
        name = wanted.replace("-", "_")
        found = client.top(name, _window(times), _filters(filters), _population(times), min_searches)
        rows = list(islice(found, limit))
    if as_json:
        for row in rows:
            click.echo(json_line(row))
    else:
        show_top(rows)


@analytics.command()
@click.option("--first", multiple=True, metavar="DIMENSION=VALUE", help="Filter of the first side. May be repeated.")
@click.option("--second", multiple=True, metavar="DIMENSION=VALUE", help="Filter of the second side.")
@click.option("--before", is_flag=True, help="The first side is the window of the same length before.")
@_options
def compare(
    first: tuple[str, ...], second: tuple[str, ...], before: bool, as_json: bool, address: str, **times: Any
) -> None:
    """Compare two segments, or a window with the one before: the difference of every rate, second minus first."""
    from clickstream.client.analytics import side_of, window_before
    from clickstream.views.figures import show_comparison
    from clickstream.views.tables import json_line

    if not (first or second or before):
        raise click.UsageError("give --first and --second, or --before")
    window = _window(times, fixed=True)
    earlier = window_before(window) if before else window
    one, other = side_of(earlier, _filters(first)), side_of(window, _filters(second))
    with asking(address) as client:
        answer = client.compare(one, other, _population(times))
    if as_json:
        click.echo(json_line(answer))
    else:
        show_comparison(answer)


def _window(times: dict[str, Any], *, fixed: bool = False) -> Any:
    """The window of the options; with `fixed`, both of its ends are given, as the default says."""
    from clickstream.client.analytics import window_of

    try:
        zone = ZoneInfo(times["time_zone"] or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise click.UsageError("--time-zone must be one of the IANA database, `Europe/Berlin` for example") from error
    if times["start"] and times["last"]:
        raise click.UsageError("give --from or --last, not both")
    given = (times["start"], times["end"])
    start, end = (each if each is None or each.tzinfo else each.replace(tzinfo=zone) for each in given)
    if times["last"] or fixed:
        end = end or datetime.now(UTC)
        start = start or end - (times["last"] or timedelta(days=8))
    return window_of(start, end, times["time_zone"])


def _population(times: dict[str, Any]) -> Any:
    from clickstream.client.analytics import population_of

    return population_of(include_irrelevant=times["include_irrelevant"], collapse_typing=times["collapse_typing"])


def _filters(assignments: Sequence[str]) -> list[tuple[str, list[str]]]:
    kept: dict[str, list[str]] = {}
    for each in assignments:
        dimension, separator, value = each.partition("=")
        if not separator:
            raise click.UsageError(f"a filter is written DIMENSION=VALUE, not {each}")
        kept.setdefault(dimension, []).append(value)
    return list(kept.items())
