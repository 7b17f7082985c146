"""The sections of a report about searches: each says in words what it shows, and has its data as a table."""

from datetime import UTC
from zoneinfo import ZoneInfo

from embedding_studio.clickstream.v1 import figures_pb2

from clickstream.report import charts
from clickstream.report.charts import Point, Series
from clickstream.report.data import PLACES, ReportData
from clickstream.report.html import element, figure, joined, paragraph, table, text
from clickstream.views.figures import coverage_line, rate_text

_RATES = {
    "click-through": "click_through_rate",
    "to cart": "add_to_cart_rate",
    "purchase": "purchase_rate",
    "no results": "no_results_rate",
}
_DRAWN = ("click-through", "to cart", "purchase")
_LIST_TITLES = {
    "queries": ("Top queries", "The queries with the most searches."),
    "queries_without_results": ("Queries without results", "People searched for this and were shown nothing."),
    "queries_without_clicks": ("Queries without clicks", "Results were shown, and nobody clicked one."),
    "items": ("Top items", "The items that most searches showed."),
    "items_without_clicks": ("Items without clicks", "Often shown and never clicked."),
}


def overview(data: ReportData) -> str:
    """The most important figures."""
    total = data.over_time.total
    cards = [
        (f"{total.searches:,}", "searches"),
        (f"{total.users:,}" if total.HasField("users") else "-", "users (known for whole UTC days)"),
        (rate_text(total, "click_through_rate"), "of the searches that could be clicked have a click"),
        (rate_text(total, "no_results_rate"), "of the searches had no result"),
        (rate_text(total, "purchase_rate"), "led to a purchase"),
        (f"{total.mean_click_place:.1f}" if total.HasField("mean_click_place") else "-", "mean place of a click"),
    ]
    items = (element("li", element("strong", text(value)), element("span", text(name))) for value, name in cards)
    left_out = (
        f"Left out and counted apart: {total.irrelevant_searches:,} searches that are marked irrelevant, and "
        f"{total.robot_searches:,} of robots."
    )
    notes = [paragraph(coverage_line(data.over_time.coverage), class_="note"), paragraph(left_out, class_="note")]
    return joined(element("ul", *items, class_="cards"), *notes)


def volume(data: ReportData) -> str:
    """Searches over time, and events by type."""
    rows, labels = data.over_time.rows, _labels(data)
    drawing = charts.bars(f"Searches by {data.bucket}", labels, [Point(row.figures.searches) for row in rows], unit="")
    titles = [data.bucket, "searches", "irrelevant", "of robots", "shown results", "events on shown results"]
    cells = [
        (
            label,
            *map(_number, (each.searches, each.irrelevant_searches, each.robot_searches, each.showings)),
            _number(sum(event.count for event in each.events)),
        )
        for label, each in zip(labels, (row.figures for row in rows), strict=True)
    ]
    listed = table(f"Searches by {data.bucket}", titles, cells, numbers=1)
    events = [
        (each.type, _number(each.count), _number(each.unshown_count), _rate(each.search_rate) if each.count else "-")
        for each in data.over_time.total.events
    ]
    by_type = table("Events by type", ("type", "on shown results", "on others", "searches with one"), events, numbers=1)
    note = f"Searches by {data.bucket}, in {data.time_zone}. The first and last may be cut by the window."
    return joined(figure(drawing, listed, note), by_type)


def rates(data: ReportData) -> str:
    """Rates over time with their intervals."""
    rows, labels = data.over_time.rows, _labels(data)
    series = [Series(name, [_point(row.figures, _RATES[name]) for row in rows]) for name in _DRAWN]
    drawing = charts.lines(f"Rates by {data.bucket}", labels, series)
    cells = [
        (label, *(rate_text(row.figures, field, interval=True) for field in _RATES.values()))
        for label, row in zip(labels, rows, strict=True)
    ]
    listed = table(f"Rates by {data.bucket}, with 95 % intervals", (data.bucket, *_RATES), cells, numbers=1)
    note = "Share of the searches that could be clicked. The bands are Wilson's 95 % intervals."
    return joined(figure(drawing, listed, note))


def positions(data: ReportData) -> str:
    """The share of shown results that were clicked, by place."""
    rows = sorted((row for row in data.places.rows if row.value.isdigit()), key=lambda row: int(row.value))[:PLACES]
    points = [_point(row.figures, "clicks_per_showing") for row in rows]
    drawing = charts.bars("Clicks per shown result, by place", [row.value for row in rows], points, unit="%")
    cells = [(row.value, _number(row.figures.showings), _per_showing(row.figures)) for row in rows]
    listed = table("Clicks by place", ("place", "shown results", "clicks per shown result"), cells, numbers=1)
    note = f"Places are counted from 1; the first {PLACES} are shown. People look at the top first, whatever is there."
    return joined(figure(drawing, listed, note))


def lists(data: ReportData) -> str:
    """Queries and items in lists."""
    parts = []
    for name, (title, note) in _LIST_TITLES.items():
        rows = [
            (
                row.value or "(none)",
                _number(row.figures.searches),
                rate_text(row.figures, "click_through_rate", interval=True),
                _per_showing(row.figures),
            )
            for row in data.tops[name]
        ]
        titles = ("query" if name.startswith("queries") else "item", "searches", "click-through", "clicks per showing")
        parts.append(element("h3", text(title)))
        parts.append(table(note, titles, rows, numbers=1) if rows else paragraph("There is none."))
    return joined(*parts)


def segments(data: ReportData) -> str:
    """Segments side by side."""
    parts = []
    for name, answer in data.segments.items():
        cells = [
            (
                row.value or "(none)",
                _number(row.figures.searches),
                *(rate_text(row.figures, field, interval=True) for field in _RATES.values()),
            )
            for row in answer.rows
        ]
        titles = (name, "searches", *_RATES)
        shown = (
            f"{len(answer.rows)} of {answer.value_count:,} values" if len(answer.rows) < answer.value_count else "all"
        )
        parts.append(table(f"By {name}: {shown}, with 95 % intervals", titles, cells, numbers=1))
    return joined(*parts)


def _labels(data: ReportData) -> list[str]:
    zone, form = ZoneInfo(data.time_zone), "%H:%M" if data.bucket == "hour" else "%m-%d"
    return [row.start.ToDatetime(UTC).astimezone(zone).strftime(form) for row in data.over_time.rows]


def _point(figures: figures_pb2.Figures, field: str) -> Point:
    if not figures.HasField(field):
        return Point(None)
    rate = getattr(figures, field)
    ends = (rate.lower * 100, rate.upper * 100) if rate.HasField("lower") else (None, None)
    return Point(rate.value * 100, *ends)


def _per_showing(figures: figures_pb2.Figures) -> str:
    return rate_text(figures, "clicks_per_showing", interval=True)


def _rate(rate: figures_pb2.Rate) -> str:
    return f"{rate.value * 100:.1f} % ({rate.lower * 100:.1f}-{rate.upper * 100:.1f})"


def _number(value: int) -> str:
    return f"{value:,}"
