"""What watches every call: the one hook of `Boundary.wrap` and of the door, for count, status and latency."""

import logging
import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from time import perf_counter
from typing import Any

from clickstream.domain.call_figures import CallFigures
from clickstream.domain.errors import ClickstreamError
from clickstream.servicers.access.tokens import Caller

# What a call to a method that the port does not have counts under: callers choose such names, so none becomes a series.
UNKNOWN = "unknown"
# Calls with these codes are defects of ours.
DEFECTS = frozenset(("INTERNAL", "UNKNOWN"))

CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""Who makes the present call; None where no tokens are configured."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")

logger = logging.getLogger(__name__)


class Watch:
    """Watches the calls of one method. `figures` is None where nothing collects them."""

    __slots__ = ("_telemetry", "figures", "is_unary", "method")

    def __init__(self, telemetry: "Telemetry", method: str, kind: str, figures: CallFigures | None) -> None:
        self.is_unary = kind == "unary"
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
        if code in DEFECTS or (self.is_unary and seconds > self._telemetry.slow_seconds):
            self._log(context, code, seconds)

    def _log(self, context: Any, code: str, seconds: float) -> None:
        """One line: which call, how long, whose. Never its content, nor anything else of its metadata."""
        given = {str(key): value for key, value in context.invocation_metadata() or ()}
        caller = CALLER.get()
        logger.warning(
            "%s %s: %s after %.3f s",
            "failed" if code in DEFECTS else "slow",
            self.method,
            code,
            seconds,
            extra={
                "method": self.method,
                "status": code,
                "seconds": round(seconds, 3),
                "request_id": _matching(_REQUEST_ID, given.get("x-request-id")),
                "trace_id": _matching(_TRACE_PARENT, given.get("traceparent")),
                "peer": context.peer(),
                "caller": caller.name if caller else "",
            },
        )

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

    def __init__(self, *, counts: bool = False, slow_seconds: float = math.inf) -> None:
        """With `counts`, calls are counted. Unary calls that take longer than `slow_seconds` are logged."""
        self.slow_seconds = slow_seconds
        self._counts = counts
        self._calls: dict[str, CallFigures] = {}
        self.reasons = Counter[str]()
        self.unknown = self.of(f"/{UNKNOWN}/{UNKNOWN}", UNKNOWN)

    def of(self, path: str, kind: str) -> Watch:
        """What watches a method, `/package.Service/Method`: the same figures on every port."""
        service, _, method = path[1:].partition("/")
        if not self._counts:
            return Watch(self, path, kind, None)
        figures = self._calls.setdefault(path, CallFigures(service, method, kind))
        return Watch(self, path, kind, figures)

    @property
    def calls(self) -> Collection[CallFigures]:
        """The figures of every method that was registered."""
        return list(self._calls.values())

    @property
    def refused(self) -> Mapping[str, int]:
        """The number of calls that were refused or failed, by reason."""
        return dict(self.reasons)


def _matching(form: re.Pattern[str], value: str | bytes | None) -> str:
    """A value of this form, or its first group; empty for any other: a caller may send anything."""
    found = form.fullmatch(value) if isinstance(value, str) else None
    return found[found.re.groups] if found else ""


def kind_of(handler: Any) -> str:
    """The kind of a method, as metrics name it, from gRPC's handler of it."""
    if handler.request_streaming:
        return "bidi_stream" if handler.response_streaming else "client_stream"
    return "server_stream" if handler.response_streaming else "unary"
