"""The report as a file: complete, safe whatever was searched for, and readable without its drawings."""

from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from support.report_log import EVIL, LONG, clients, report_server
from support.servers import InProcessServer

from clickstream.report.data import ReportData, read_report
from clickstream.report.page import SECTIONS, page

VOID = {"meta"}


class Page(HTMLParser):
    """Collects elements, text and what is wrong with the nesting."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.tables_of_figures: list[int] = []
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "figure":
            self.tables_of_figures.append(0)
        if tag == "table" and "figure" in self.open:
            self.tables_of_figures[-1] += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def server() -> Iterator[InProcessServer]:
    """A server with everything that a report shows."""
    with report_server() as server:
        yield server


def data_of(server: InProcessServer, days: float = 11) -> ReportData:
    """What a report of the last days shows."""
    now = server._clock()  # type: ignore[attr-defined]
    start = now - timedelta(days=days)
    return read_report(*clients(server), start, now, "Europe/Berlin", ("client", "context.locale"), now)


def test_every_section_and_plot_is_there_with_its_data(server: InProcessServer) -> None:
    """The contents lead to every section, every drawing has a name, and its data stand in a table beside it."""
    made = Page(page(data_of(server)))
    assert [each["id"] for each in made.all("section")] == list(SECTIONS)
    assert [each["href"] for each in made.all("a")] == [f"#{name}" for name in SECTIONS]
    assert made.tables_of_figures == [1, 1, 1, 1]
    drawings = [each for each in made.all("svg") if each.get("role") == "img"]
    assert len(drawings) == 4
    assert all(each["aria-label"] for each in drawings)
    identifiers = [each["id"] for _, each in made.elements if "id" in each]
    assert len(identifiers) == len(set(identifiers))


def test_nothing_is_loaded_and_nothing_runs(server: InProcessServer) -> None:
    """No script, no event handler and no foreign address, although a query asks for them: it is shown as text."""
    content = page(data_of(server))
    made = Page(content)
    assert made.all("script") == made.all("img") == made.all("link") == made.all("iframe") == []
    for _, attributes in made.elements:
        assert not any(name.startswith("on") or name in ("src", "style", "xlink:href") for name in attributes)
        assert attributes.get("href", "#").startswith("#")
    assert "url(" not in content
    assert "@import" not in content
    assert EVIL in made.texts
    assert LONG in made.texts


def test_the_report_says_what_the_service_answers(server: InProcessServer) -> None:
    """Counts of searches, robots, refusals, steps, batches, runs and versions are those of the answers."""
    data = data_of(server)
    text = " ".join(Page(page(data)).texts)
    total = data.over_time.total
    assert (total.searches, total.robot_searches) == (110, 10)
    assert "110" in text
    assert "10 searches of the window are of robots" in text
    assert "of 60 pairs of user and UTC day at the end of the window 10 are robots" in text
    assert "✗ not reached: judgeable" in text
    assert "INVALID_FIELD" in text
    assert "declared_agent 1 (from 1)" in text
    for name in ("batch-1", "batch-2", "night-0", "model-night-2"):
        assert name in text
    assert data.bucket == "day"
    assert data_of(server, days=1).bucket == "hour"


def test_an_empty_service_has_a_report(server: InProcessServer) -> None:
    """Without a search in the window every section says that there is nothing."""
    now = server._clock() + timedelta(days=400)  # type: ignore[attr-defined]
    made = Page(page(read_report(*clients(server), now - timedelta(days=3), now, "", ("client",), now)))
    assert made.tables_of_figures == [1, 1, 1, 1]
    assert "there is no search" in " ".join(made.texts)
