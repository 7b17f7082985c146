"""One port for all processes of a supervised server: their figures are asked for at each scrape, and labelled."""

import http.client
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from typing_extensions import override

from clickstream.telemetry.names import FIGURES, PREFIX

# How long a process may take to answer.
ASK_SECONDS = 3.0
LABEL = "process"

logger = logging.getLogger(__name__)


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ASK_SECONDS)
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ASK_SECONDS)
        self.sock.connect(str(self._path))


class Processes(Collector):
    """The figures of processes that each show theirs on a socket, under the label `process`."""

    def __init__(self, socket_of: Callable[[str], Path]) -> None:
        """Takes what says the socket of a process, by its name. `name` says the names."""
        self._socket_of = socket_of
        self._names: Sequence[str] = ()

    def name(self, names: Sequence[str]) -> None:
        """Sets the names of the processes, one or more. One of them may be `trainer`, which takes no calls."""
        self._names = names

    @override
    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        up = Metric(f"{PREFIX}process_up", FIGURES["process_up"].meaning, "gauge")
        for process, (status, text) in self._ask(self._names, "/metrics").items():
            up.add_sample(up.name, {LABEL: process}, float(status == http.client.OK))
            for family in text_string_to_metric_families(text if status == http.client.OK else ""):
                merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    merged.add_sample(sample.name, {**sample.labels, LABEL: process}, sample.value)
        yield up
        yield from families.values()

    def is_ready(self) -> bool:
        """Whether a process takes calls: one is enough, as they share a port."""
        serving = [name for name in self._names if name != "trainer"]
        return any(status == http.client.OK for status, _ in self._ask(serving, "/readyz").values())

    def _ask(self, names: Sequence[str], what: str) -> dict[str, tuple[int, str]]:
        """The answer of each process, all asked at a time."""
        with ThreadPoolExecutor(max(1, len(names))) as threads:
            answers = threads.map(lambda name: _get(self._socket_of(name), what), names)
            return dict(zip(names, answers, strict=True))


def _get(path: Path, what: str) -> tuple[int, str]:
    """Status and body; 0 if the process does not answer, as it is starting, or hangs."""
    connection = _Connection(path)
    try:
        connection.request("GET", what)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        logger.debug("no answer on %s: %s", path, error)
        return 0, ""
    finally:
        connection.close()
