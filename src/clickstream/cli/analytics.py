"""`analytics figures`, `analytics top` and `analytics compare`."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import click

from clickstream.cli.connection import asking
from clickstream.cli.window import chosen_population, chosen_window, window_options

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
@window_options
def figures(
    bucket: str | None, dimension: str, limit: int, filters: tuple[str, ...], as_json: bool, address: str, **times: Any
) -> None:
    """Show counts and rates of a window, of its parts, or of the values of a dimension."""
    from clickstream.views.figures import show_figures
    from clickstream.views.tables import json_line

    with asking(address) as client:
        answer = client.figures(
            chosen_window(times),
            bucket or "",
            dimension,
            _filters(filters),
            chosen_population(times),
            limit if dimension else 0,
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
@window_options
def top(
    wanted: str, limit: int, min_searches: int, filters: tuple[str, ...], as_json: bool, address: str, **times: Any
) -> None:
    """List queries or items: queries, queries-without-results, items-without-clicks, rising and so on."""
    from clickstream.views.figures import show_top
    from clickstream.views.tables import json_line

    with asking(address) as client:
        name = wanted.replace("-", "_")
        found = client.top(name, chosen_window(times), _filters(filters), chosen_population(times), min_searches)
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
@window_options
def compare(
    first: tuple[str, ...], second: tuple[str, ...], before: bool, as_json: bool, address: str, **times: Any
) -> None:
    """Compare two segments, or a window with the one before: the difference of every rate, second minus first."""
    from clickstream.client.analytics import side_of, window_before
    from clickstream.views.figures import show_comparison
    from clickstream.views.tables import json_line

    if not (first or second or before):
        raise click.UsageError("give --first and --second, or --before")
    window = chosen_window(times, fixed=True)
    earlier = window_before(window) if before else window
    one, other = side_of(earlier, _filters(first)), side_of(window, _filters(second))
    with asking(address) as client:
        answer = client.compare(one, other, chosen_population(times))
    if as_json:
        click.echo(json_line(answer))
    else:
        show_comparison(answer)


def _filters(assignments: Sequence[str]) -> list[tuple[str, list[str]]]:
    kept: dict[str, list[str]] = {}
    for each in assignments:
        dimension, separator, value = each.partition("=")
        if not separator:
            raise click.UsageError(f"a filter is written DIMENSION=VALUE, not {each}")
        kept.setdefault(dimension, []).append(value)
    return list(kept.items())
