"""Figures, lists and comparisons in the terminal."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from embedding_studio.clickstream.v1 import analytics_service_pb2 as pb
from embedding_studio.clickstream.v1 import figures_pb2
from rich.table import Table

from clickstream.views.tables import console_of, plain

# The rates of a row, beside the click-through rate: title → field.
_RATES = {"no results": "no_results_rate", "to cart": "add_to_cart_rate", "bought": "purchase_rate"}


def show_figures(answer: pb.QueryFiguresResponse, zone: str, bucket: str, dimension: str) -> None:
    """Prints the rows of an answer, the figures of the whole window, and what it covers."""
    console = console_of()
    names = ([bucket] if bucket else []) + ([dimension] if dimension else [])
    if names:
        table = _table(*names, "searches", "click-through (95 %)", *_RATES)
        for row in answer.rows:
            when = [_time(row.start.ToDatetime(UTC), zone)] if bucket else []
            cells = [*when, *([row.value or "(none)"] if dimension else [])]
            table.add_row(*map(plain, cells), *_cells(row.figures))
        console.print(table, highlight=False)
        if (shown := len({row.value for row in answer.rows})) < answer.value_count:
            console.print(f"{shown} of {answer.value_count:,} values; --limit N shows more.", highlight=False)
    console.print(_total(answer.total), highlight=False)
    console.print(coverage_line(answer.coverage), highlight=False)


def show_top(rows: Sequence[pb.TopRow]) -> None:
    """Prints the rows of a list."""
    console = console_of()
    if not rows:
        console.print("nothing to show")
        return
    compared = any(row.HasField("searches_before") for row in rows)
    table = _table("value", "searches", *(["before"] if compared else []), "showings", "clicks", "click-through (95 %)")
    for row in rows:
        clicks = sum(each.count for each in row.figures.events if each.type == "click")
        before = [f"{row.searches_before:,}"] if compared else []
        counts = [f"{row.figures.searches:,}", *before, f"{row.figures.showings:,}", f"{clicks:,}"]
        table.add_row(plain(row.value), *counts, rate_text(row.figures, "click_through_rate", interval=True))
    console.print(table, highlight=False)


def show_comparison(answer: pb.CompareFiguresResponse) -> None:
    """Prints both sides of every rate, the difference in percentage points, and what may mislead."""
    console = console_of()
    table = _table("rate", "first", "second", "difference (95 %)")
    sides = (answer.first, answer.second)
    for each in answer.differences:
        shown = [_named_rate(side, each.name) for side in sides]
        ends = f" ({each.lower * 100:+.2f} to {each.upper * 100:+.2f})" if each.HasField("lower") else ""
        table.add_row(plain(each.name.replace("_", " ")), *shown, f"{each.difference * 100:+.2f}{ends}")
    console.print(f"searches: {answer.first.searches:,} and {answer.second.searches:,}", highlight=False)
    console.print(table, highlight=False)
    left_out = answer.first_outlier_searches, answer.second_outlier_searches
    if any(left_out):
        console.print(f"Left out as outliers: {left_out[0]:,} and {left_out[1]:,} searches.", highlight=False)
    for warning in answer.warnings:
        console.print(plain(f"Warning: {warning}."))
    console.print("Differences are in percentage points, second minus first.", highlight=False)


def rate_text(figures: figures_pb2.Figures, field: str, *, interval: bool = False) -> str:
    """`12.3 %`, or with its interval `12.3 % (11.9-12.8)`; `-` where the rate is absent."""
    if not figures.HasField(field):
        return "-"
    return _rate(getattr(figures, field), interval=interval)


def coverage_line(coverage: figures_pb2.Coverage) -> str:
    """The window that was looked at, and until when the figures are exact."""
    zone = coverage.window.time_zone
    start, end = (_time(each.ToDatetime(UTC), zone) for each in (coverage.window.start, coverage.window.end))
    if coverage.HasField("exact_until"):
        exact = f"exact until {_time(coverage.exact_until.ToDatetime(UTC), zone, seconds=True)}"
    else:
        exact = "roll-ups are still being made: not complete"
    source = ", read from the sessions" if coverage.from_sessions else ""
    return f"{start} to {end} ({zone}), {exact}{source}."


def _cells(figures: figures_pb2.Figures) -> list[str]:
    rates = (rate_text(figures, field) for field in _RATES.values())
    return [f"{figures.searches:,}", rate_text(figures, "click_through_rate", interval=True), *rates]


def _total(figures: figures_pb2.Figures) -> str:
    """The figures of the whole window in lines."""
    users = f", {figures.users:,} users" if figures.HasField("users") else ""
    beside = {"irrelevant": figures.irrelevant_searches, "of robots": figures.robot_searches}
    left_out = "".join(f", beside {count:,} {name}" for name, count in beside.items() if count)
    lines = [f"searches: {figures.searches:,}{users}{left_out}; shown results: {figures.showings:,}"]
    for name, value in figures.ListFields():
        if name.message_type == figures_pb2.Rate.DESCRIPTOR:
            counts = f"{value.numerator:,} of {value.denominator:,}"
            lines.append(f"{name.name.replace('_', ' ')}: {_rate(value, interval=True)}, {counts}")
    if figures.HasField("mean_click_place"):
        lines.append(f"mean place of a click: {figures.mean_click_place:.2f}")
    if figures.HasField("median_first_click_seconds"):
        median, most = figures.median_first_click_seconds, figures.p90_first_click_seconds
        lines.append(f"time to the first click: median {median:.1f} s, 90 % within {most:.1f} s")
    if events := ", ".join(f"{plain(each.type)} {each.count:,}" for each in figures.events if each.count):
        lines.append(f"events: {events}")
    if figures.unshown_events:
        lines.append(f"events on objects that were not shown: {figures.unshown_events:,}")
    return "\n".join(lines)


def _named_rate(figures: figures_pb2.Figures, name: str) -> str:
    """The rate of this name in a comparison: a field, or `event_rate.TYPE`."""
    if name.startswith("event_rate."):
        found = [each.search_rate for each in figures.events if f"event_rate.{each.type}" == name]
        return _rate(found[0]) if found else "-"
    return rate_text(figures, name)


def _rate(rate: figures_pb2.Rate, *, interval: bool = False) -> str:
    ends = f" ({rate.lower * 100:.1f}-{rate.upper * 100:.1f})" if interval and rate.HasField("lower") else ""
    return f"{rate.value * 100:.1f} %{ends}"


def _time(moment: datetime, zone: str, *, seconds: bool = False) -> str:
    return moment.astimezone(ZoneInfo(zone or "UTC")).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def _table(*titles: str) -> Table:
    table = Table()
    for title in titles:
        is_number = title in ("searches", "before", "showings", "clicks", "first", "second", *_RATES)
        table.add_column(title, overflow="fold", justify="right" if is_number else "left")
    return table
