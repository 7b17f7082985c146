"""Domain errors. Each carries a reason from `error_reason.proto`; the servicers map them to statuses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clickstream.domain import limits


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One bad field: its path (`events[3].created_at`), what is wrong, and the reason's short name."""

    field: str
    description: str
    reason: str = "INVALID_FIELD"


class ClickstreamError(Exception):
    """A call that cannot be served, with the reason a client can act on.

    `reason` is a name of `error_reason.proto` without its `ERROR_REASON_` prefix.
    """

    def __init__(self, reason: str, message: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})


class InvalidArgument(ClickstreamError):
    """The request is malformed; `violations` names each bad field."""

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        first = violations[0]
        others = len(violations) - 1
        # Collecting stops at the limit: there may be more than are counted.
        at_least = "at least " if len(violations) >= limits.NAMED_VIOLATIONS else ""
        more = f" (and {at_least}{others} more)" if others else ""
        where = f"{first.field}: " if first.field else ""
        super().__init__(first.reason, f"{where}{first.description}{more}")
        self.violations = tuple(violations)


class NotFound(ClickstreamError):
    """What the request names does not exist."""


class AlreadyExists(ClickstreamError):
    """The id is taken by something with other content."""


class FailedPrecondition(ClickstreamError):
    """What the request names exists, but its state forbids the call."""


class ResourceExhausted(ClickstreamError):
    """The server's queue is full; `retry_after` is in seconds."""

    def __init__(self, reason: str, message: str, retry_after: float = 1.0) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


class Unavailable(ClickstreamError):
    """The outcome is unknown, and the call must be repeated; `retry_after` is in seconds."""

    def __init__(self, reason: str, message: str, retry_after: float = 1.0) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


class StartError(Exception):
    """A process cannot start; the message says in one line what it lacks and how to mend it."""
