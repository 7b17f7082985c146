"""What is counted, and how Prometheus sees it."""

import threading
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from clickstream.domain.call_figures import CallFigures
from clickstream.telemetry import cached
from clickstream.telemetry.cached import CachedFigures
from clickstream.telemetry.metrics import Metrics, Reading, go_name
from clickstream.telemetry.names import FIGURES, PREFIX, Kind

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def text(metrics: Metrics) -> str:
    """What a scrape gets."""
    return generate_latest(metrics.registry).decode()


def test_signals_become_series_with_their_labels() -> None:
    """A count adds up, a setting replaces, a value falls into the buckets from its own on."""
    metrics = Metrics()
    metrics.set("store_up", 1.0)
    metrics.set("store_up", 0.0)
    metrics.observe("store_command_seconds", 0.003, command="find", outcome="ok")
    metrics.count("events", 2, outcome="ACCEPTED")
    metrics.count("events", 3, outcome="ACCEPTED")
    shown = text(metrics)
    assert "clickstream_store_up 0.0" in shown
    assert 'clickstream_store_command_seconds_bucket{command="find",le="0.0025",outcome="ok"} 0.0' in shown
    assert 'clickstream_store_command_seconds_bucket{command="find",le="0.005",outcome="ok"} 1.0' in shown
    assert 'clickstream_events_total{outcome="ACCEPTED"} 5.0' in shown
    assert "_created" not in shown


@pytest.mark.parametrize("labels", [{}, {"user": "u-1"}])
def test_a_figure_without_its_row_is_not_kept(labels: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """An unknown name, or a label that its row lacks, is logged once and makes no series."""
    metrics = Metrics()
    name = "store_up" if labels else "nothing"
    metrics.count(name, **labels)
    metrics.count(name, **labels)
    assert "u-1" not in text(metrics)
    assert len(caplog.records) == 1


def test_calls_have_the_names_of_the_go_middleware() -> None:
    """Codes, cumulative buckets, sum and messages of one method."""
    call = CallFigures("p.Service", "Do", "unary", started=3)
    call.took(10)
    call.gave(5)
    call.ended("OK", 0.002)
    call.ended("RESOURCE_EXHAUSTED", 100.0)
    metrics = Metrics()
    metrics.calls(lambda: [call])
    shown = text(metrics)
    labels = 'grpc_method="Do",grpc_service="p.Service",grpc_type="unary"'
    assert f"grpc_server_started_total{{{labels}}} 3.0" in shown
    assert f'grpc_server_handled_total{{grpc_code="ResourceExhausted",{labels}}} 1.0' in shown
    assert f'grpc_server_handling_seconds_bucket{{{labels},le="0.0025"}} 1.0' in shown
    assert f'grpc_server_handling_seconds_bucket{{{labels},le="+Inf"}} 2.0' in shown
    assert f"grpc_server_handling_seconds_sum{{{labels}}} 100.002" in shown
    assert f"grpc_server_msg_received_bytes_total{{{labels}}} 10.0" in shown


@pytest.mark.parametrize(("code", "name"), [("OK", "OK"), ("NOT_FOUND", "NotFound"), ("UNAVAILABLE", "Unavailable")])
def test_codes_are_written_as_go_writes_them(code: str, name: str) -> None:
    """Dashboards match `grpc_code` by these names."""
    assert go_name(code) == name


def test_costly_figures_are_read_once_for_scrapes_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that fails is absent and marked; the others are shown, and read again only when they are old."""
    reads = []

    def read() -> list[Reading]:
        reads.append(1)
        return [Reading("store_up", 1.0)]

    def fails() -> list[Reading]:
        raise OSError("away")

    figures = CachedFigures({"fails": fails, "works": read})
    first, second = figures(), figures()
    assert first == second
    assert len(reads) == 1
    assert [(each.name, each.value) for each in first] == [
        ("store_figures_up", 0.0),
        ("store_figures_up", 1.0),
        ("store_up", 1.0),
    ]
    monkeypatch.setattr(cached, "FRESH_SECONDS", 0.0)
    figures()
    assert len(reads) == 2


def test_a_store_that_hangs_delays_a_scrape_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One reading hangs at a time, however many scrapes come."""
    monkeypatch.setattr(cached, "WAIT_SECONDS", 0.05)
    going, reads = threading.Event(), []

    def hangs() -> list[Reading]:
        reads.append(1)
        going.wait(20)
        return []

    figures = CachedFigures({"hangs": hangs})
    assert [figures(), figures()] == [[Reading("store_figures_up", 0.0, {"part": "hangs"})]] * 2
    assert len(reads) == 1
    going.set()


def test_every_figure_stands_in_the_reference() -> None:
    """The page has each row of the table, with its kind, labels and meaning."""
    rows = {
        f"| `{PREFIX}{name}{'_total' if figure.kind is Kind.COUNTER else ''}` | {figure.kind} "
        f"| {', '.join(f'`{label}`' for label in figure.labels)} | {figure.meaning} |"
        for name, figure in FIGURES.items()
    }
    written = {line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| `{PREFIX}")}
    assert written == rows
