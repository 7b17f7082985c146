"""The Prometheus registry of a process: what signals count, what is read at a scrape, and the calls."""

import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from typing_extensions import override

from clickstream.domain.call_figures import BOUNDS, CallFigures
from clickstream.domain.signals import Signals
from clickstream.telemetry.names import FIGURES, PREFIX, Figure, Kind

logger = logging.getLogger(__name__)

_CLASSES: dict[Kind, Any] = {Kind.COUNTER: Counter, Kind.GAUGE: Gauge, Kind.HISTOGRAM: Histogram}
_CALL_LABELS = ("grpc_type", "grpc_service", "grpc_method")


class Reading(NamedTuple):
    """A figure that is read when Prometheus asks for it. Its name stands in `FIGURES`."""

    name: str
    value: float
    labels: Mapping[str, str] = {}


Read = Callable[[], Iterable[Reading]]


class Metrics(Signals):
    """All figures of a process. May be called from any thread; a name that `FIGURES` lacks is logged once, not kept."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second series for each, which nobody asks for
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._made: dict[str, Any] = {}
        self._series: dict[tuple[str, ...], Any] = {}
        self._lock = threading.Lock()
        self._unknown: set[str] = set()

    @override
    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        if (series := self._of(name, labels)) is not None:
            series.inc(amount)

    @override
    def observe(self, name: str, value: float, **labels: str) -> None:
        if (series := self._of(name, labels)) is not None:
            series.observe(value)

    @override
    def set(self, name: str, value: float, **labels: str) -> None:
        if (series := self._of(name, labels)) is not None:
            series.set(value)

    def _of(self, name: str, labels: Mapping[str, str]) -> Any:
        key = (name, *labels.values())
        series = self._series.get(key)
        if series is None:
            with self._lock:
                series = self._series[key] = self._new(name, labels)
        return series

    def _new(self, name: str, labels: Mapping[str, str]) -> Any:
        figure = FIGURES.get(name)
        if figure is None or tuple(labels) != figure.labels:
            if name not in self._unknown:
                self._unknown.add(name)
                logger.error("no figure %s with the labels %s is kept", name, list(labels))
            return None
        if name not in self._made:
            more = {"buckets": figure.buckets} if figure.buckets else {}
            made = _CLASSES[figure.kind](PREFIX + name, figure.meaning, figure.labels, registry=self.registry, **more)
            self._made[name] = made
        return self._made[name].labels(**labels) if labels else self._made[name]

    def read(self, read: Read) -> None:
        """Adds figures that `read` gives at each scrape, in the thread of the scrape. It must be quick."""
        self.registry.register(_Readings(read))

    def calls(self, calls: Callable[[], Iterable[CallFigures]]) -> None:
        """Adds the figures of calls, under the names of the go-grpc middleware."""
        self.registry.register(_Calls(calls))


class _Readings(Collector):
    def __init__(self, read: Read) -> None:
        self._read = read

    @override
    def collect(self) -> Iterator[Metric]:
        found = sorted(self._read(), key=lambda reading: reading.name)
        for name, readings in itertools.groupby(found, key=lambda reading: reading.name):
            family = _family(name, FIGURES[name])
            for reading in readings:
                family.add_metric([reading.labels[label] for label in FIGURES[name].labels], reading.value)
            yield family


def _family(name: str, figure: Figure) -> Any:
    kind: Any = CounterMetricFamily if figure.kind is Kind.COUNTER else GaugeMetricFamily
    return kind(PREFIX + name, figure.meaning, labels=figure.labels)


class _Calls(Collector):
    def __init__(self, calls: Callable[[], Iterable[CallFigures]]) -> None:
        self._calls = calls

    @override
    def collect(self) -> Iterator[Metric]:
        started = _calls_family("started", "Calls that arrived, by their path and metadata.")
        handled = CounterMetricFamily(
            "grpc_server_handled", "Calls that ended, by status.", labels=[*_CALL_LABELS, "grpc_code"]
        )
        seconds = HistogramMetricFamily(
            "grpc_server_handling_seconds", "Time from a call's request to its end.", labels=_CALL_LABELS
        )
        sums = {
            "received": _calls_family("msg_received", "Messages from callers."),
            "sent": _calls_family("msg_sent", "Messages to callers."),
            "received_bytes": _calls_family("msg_received_bytes", "Bytes of messages from callers."),
            "sent_bytes": _calls_family("msg_sent_bytes", "Bytes of messages to callers."),
        }
        for call in self._calls():
            labels = [call.kind, call.service, call.method]
            started.add_metric(labels, call.started)
            for code, count in list(call.codes.items()):
                handled.add_metric([*labels, go_name(code)], count)
            counts = list(itertools.accumulate(call.buckets))
            ends = [*map(str, BOUNDS), "+Inf"]
            seconds.add_metric(labels, list(zip(ends, map(float, counts), strict=True)), call.seconds)
            for name, family in sums.items():
                family.add_metric(labels, getattr(call, name))
        yield from (started, handled, seconds, *sums.values())


def _calls_family(name: str, meaning: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"grpc_server_{name}", meaning, labels=_CALL_LABELS)


def go_name(code: str) -> str:
    """A status as the middleware of Go writes it: `NOT_FOUND` is `NotFound`, and only `OK` stays."""
    return code if code == "OK" else "".join(word.capitalize() for word in code.split("_"))
