"""The whole page: one file, without a script, a foreign font or a picture from elsewhere."""

from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

from clickstream.report import sections, trust
from clickstream.report.data import ReportData
from clickstream.report.html import element, paragraph, section, text

SECTIONS: dict[str, tuple[str, Callable[[ReportData], str]]] = {
    "overview": ("Overview", sections.overview),
    "volume": ("Volume", sections.volume),
    "rates": ("Rates over time", sections.rates),
    "positions": ("Places", sections.positions),
    "lists": ("Queries and items", sections.lists),
    "segments": ("Segments side by side", sections.segments),
    "quality": ("Data quality", trust.quality),
    "robots": ("Robots", trust.robots),
    "batches": ("Batches and runs", trust.batches),
    "models": ("Models", trust.models),
}
"""Anchor → title and what makes the content of the section, in the page's order."""

STYLE = Path(__file__).parent / "style.css"
# Nothing is loaded and nothing runs, whatever a query contains.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(data: ReportData) -> str:
    """The report as HTML."""
    window = data.over_time.coverage.window
    zone = ZoneInfo(data.time_zone)
    start, end = (f"{each.ToDatetime(tzinfo=zone):%Y-%m-%d %H:%M}" for each in (window.start, window.end))
    made = f"{data.made_at.astimezone(zone):%Y-%m-%d %H:%M}"
    links = (element("li", element("a", text(title), href=f"#{name}")) for name, (title, _) in SECTIONS.items())
    head = element(
        "head",
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        element("title", text(f"Search report, {start} to {end}")),
        f"<style>{STYLE.read_text('utf-8')}</style>",
    )
    body = element(
        "body",
        element(
            "header",
            element("h1", "Search report"),
            paragraph(f"{start} to {end} ({data.time_zone}). Made {made}."),
            element("nav", element("ul", *links), aria_label="Contents"),
        ),
        element("main", *(section(name, title, make(data)) for name, (title, make) in SECTIONS.items())),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"
