"""What watches every call: the one hook of `Boundary.wrap` and of the door, for count, status and latency."""

from collections import Counter
from collections.abc import Collection, Mapping
from time import perf_counter
from typing import Any

from clickstream.domain.call_figures import CallFigures
from clickstream.domain.errors import ClickstreamError

# What a call to a method that the port does not have counts under: callers choose such names, so none becomes a series.
UNKNOWN = "unknown"


class Watch:
    """Watches the calls of one method. `figures` is None where nothing collects them."""

    __slots__ = ("_telemetry", "figures", "method")

    def __init__(self, telemetry: "Telemetry", method: str, figures: CallFigures | None) -> None:
        self._telemetry = telemetry
        self.method = method
        self.figures = figures

    def arrived(self) -> None:
        """Counts a call by its path and metadata, before its request is received."""
        if self.figures is not None:
            self.figures.started += 1

    def began(self, size: int = -1) -> float:
        """Begins the watch of a call; of a unary one with a request of `size` bytes. Returns its time for `ended`."""
        if size >= 0 and self.figures is not None:
            self.figures.took(size)
        return perf_counter()

    def ended(self, began: float, context: Any, code: str, size: int = -1) -> None:
        """Ends the watch of a call.

        Args:
            began: What `began` returned.
            context: gRPC's context of the call.
            code: The name of its status. CANCELLED is DEADLINE_EXCEEDED if its time is over.
            size: The bytes of a unary answer; -1: there is none.
        """
        seconds = perf_counter() - began
        if code == "CANCELLED":
            left = context.time_remaining()
            code = "DEADLINE_EXCEEDED" if left is not None and left <= 0 else code
        if self.figures is not None:
            if size >= 0:
                self.figures.gave(size)
            self.figures.ended(code, seconds)

    def failed(self, error: Exception) -> None:
        """Counts the reason of a call that is refused or fails."""
        if isinstance(error, ClickstreamError):
            self._telemetry.reasons[error.reason.value] += 1

    def refused(self, code: str) -> None:
        """Counts a call that ended before its request was received: without a token, or taken back by its caller."""
        if self.figures is not None:
            self.figures.ended(code, 0.0)


class Telemetry:
    """The figures of all calls of a process. Belongs to one event loop; any thread may read."""

    def __init__(self, *, counts: bool = False) -> None:
        """With `counts`, calls are counted."""
        self._counts = counts
        self._calls: dict[str, CallFigures] = {}
        self.reasons = Counter[str]()
        self.unknown = self.of(f"/{UNKNOWN}/{UNKNOWN}", UNKNOWN)

    def of(self, path: str, kind: str) -> Watch:
        """What watches a method, `/package.Service/Method`: the same figures on every port."""
        service, _, method = path[1:].partition("/")
        if not self._counts:
            return Watch(self, path, None)
        figures = self._calls.setdefault(path, CallFigures(service, method, kind))
        return Watch(self, path, figures)

    @property
    def calls(self) -> Collection[CallFigures]:
        """The figures of every method that was registered."""
        return list(self._calls.values())

    @property
    def refused(self) -> Mapping[str, int]:
        """The number of calls that were refused or failed, by reason."""
        return dict(self.reasons)


def kind_of(handler: Any) -> str:
    """The kind of a method, as metrics name it, from gRPC's handler of it."""
    if handler.request_streaming:
        return "bidi_stream" if handler.response_streaming else "client_stream"
    return "server_stream" if handler.response_streaming else "unary"
