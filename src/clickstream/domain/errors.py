"""Domain errors, each with its reason; `contract.statuses` maps them to gRPC statuses and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from clickstream.domain import limits


class Reason(StrEnum):
    """Why a call failed: the values of `error_reason.proto`, which explains each, without their prefix."""

    INVALID_FIELD = "INVALID_FIELD"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    CREATED_AT_OUT_OF_WINDOW = "CREATED_AT_OUT_OF_WINDOW"
    INVALID_PAGE_TOKEN = "INVALID_PAGE_TOKEN"
    CONTENT_CONFLICT = "CONTENT_CONFLICT"
    SESSION_NOT_FOUND = "SESSION_NOT_FOUND"
    BATCH_NOT_FOUND = "BATCH_NOT_FOUND"
    IMPROVEMENT_TASK_NOT_FOUND = "IMPROVEMENT_TASK_NOT_FOUND"
    TRAINING_RUN_NOT_FOUND = "TRAINING_RUN_NOT_FOUND"
    MODEL_VERSION_NOT_FOUND = "MODEL_VERSION_NOT_FOUND"
    BATCH_EMPTY = "BATCH_EMPTY"
    BATCH_ALREADY_RELEASED = "BATCH_ALREADY_RELEASED"
    BATCH_NOT_RELEASED = "BATCH_NOT_RELEASED"
    SESSION_IRRELEVANT = "SESSION_IRRELEVANT"
    SESSION_PAYLOAD_SEARCH = "SESSION_PAYLOAD_SEARCH"
    SESSION_EVENTLESS = "SESSION_EVENTLESS"
    STATE_CONFLICT = "STATE_CONFLICT"
    TRAINING_IMPOSSIBLE = "TRAINING_IMPOSSIBLE"
    NO_SERVING_MODEL = "NO_SERVING_MODEL"
    NOTHING_TO_ROLL_BACK = "NOTHING_TO_ROLL_BACK"
    GATE_NOT_PASSED = "GATE_NOT_PASSED"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    TRAINER_UNAVAILABLE = "TRAINER_UNAVAILABLE"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    WRITE_QUEUE_FULL = "WRITE_QUEUE_FULL"
    EMBED_QUEUE_FULL = "EMBED_QUEUE_FULL"
    DEFECT = "DEFECT"
    TOKEN_MISSING = "TOKEN_MISSING"
    TOKEN_INVALID = "TOKEN_INVALID"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"
    SCOPE_MISSING = "SCOPE_MISSING"
    REFUSALS_EXCEEDED = "REFUSALS_EXCEEDED"
    CALL_RATE_EXCEEDED = "CALL_RATE_EXCEEDED"
    BYTE_RATE_EXCEEDED = "BYTE_RATE_EXCEEDED"
    STREAMS_EXCEEDED = "STREAMS_EXCEEDED"
    SERVER_BUSY = "SERVER_BUSY"
    READER_TOO_SLOW = "READER_TOO_SLOW"
    HEALTH_NAME_NOT_FOUND = "HEALTH_NAME_NOT_FOUND"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One bad field: its path (`events[3].created_at`), what is wrong, and why."""

    field: str
    description: str
    reason: Reason = Reason.INVALID_FIELD


class ClickstreamError(Exception):
    """A call that cannot be served, with the reason a client can act on.

    `metadata` has the keys that `error_reason.proto` states for the reason.
    """

    def __init__(self, reason: Reason, message: str, metadata: Mapping[str, str] | None = None) -> None:
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


class Unauthenticated(ClickstreamError):
    """The call carries no valid token, and no client certificate that stands for one."""


class PermissionDenied(ClickstreamError):
    """The caller is known, and may not call this method."""


class NotFound(ClickstreamError):
    """What the request names does not exist."""


class AlreadyExists(ClickstreamError):
    """The id is taken by other content."""


class FailedPrecondition(ClickstreamError):
    """What the request names exists, but its state forbids the call."""


class ResourceExhausted(ClickstreamError):
    """The server, or the caller's share of it, is full; `retry_after` is in seconds. `subject` is whose share."""

    def __init__(self, reason: Reason, message: str, retry_after: float = 1.0, subject: str = "server") -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after
        self.subject = subject


class Unavailable(ClickstreamError):
    """The outcome is unknown, and the call must be repeated; `retry_after` is in seconds."""

    def __init__(self, reason: Reason, message: str, retry_after: float = 1.0) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


class StartError(Exception):
    """A process cannot start; the message says in one line what it lacks and how to mend it."""
