"""The options of a window of time and of the searches that count."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from clickstream.cli.connection import ADDRESS, JSON

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


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


def time_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a window of time."""
    for option in reversed(
        (
            click.option("--from", "start", callback=_moment, help="First moment of the window, in its time zone."),
            click.option("--to", "end", callback=_moment, help="First moment behind the window. Default: now."),
            click.option("--last", callback=_last, help="Length of the window instead of --from: 12h, 30d, 4w."),
            click.option("--time-zone", default="", help="Where days begin: `Europe/Berlin`. Default: UTC."),
        )
    ):
        command = option(command)
    return command


def window_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """As `time_options`, and the options of the searches that count."""
    for option in (
        ADDRESS,
        JSON,
        click.option("--collapse-typing", is_flag=True, help="Count a query that was being typed once."),
        click.option("--include-robots", is_flag=True, help="Also searches of robots."),
        click.option("--include-irrelevant", is_flag=True, help="Also searches that are marked irrelevant."),
    ):
        command = option(command)
    return time_options(command)


def chosen_window(times: dict[str, Any], *, fixed: bool = False) -> Any:
    """The window that the options mean; with `fixed`, both of its ends are given, as the default says."""
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


def chosen_population(times: dict[str, Any]) -> Any:
    """Which searches count, by the options."""
    from clickstream.client.analytics import population_of

    names = ("include_irrelevant", "include_robots", "collapse_typing")
    return population_of(**{name: times[name] for name in names})
