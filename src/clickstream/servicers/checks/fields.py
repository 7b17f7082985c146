"""Checks of requests against the stated limits (R5 to R7); each violation names the path of its field."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from embedding_studio.clickstream.v1 import session_pb2
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from clickstream.contract.statuses import short
from clickstream.domain import limits
from clickstream.domain.errors import FieldViolation, InvalidArgument, Reason
from clickstream.domain.runs import RUN_ID_FORM, is_run_id

LIMIT = Reason.LIMIT_EXCEEDED
# The range of google.protobuf.Timestamp: years 1 to 9999.
MIN_SECONDS, MAX_SECONDS = -62_135_596_800, 253_402_300_799


class Violations(list[FieldViolation]):
    """The first violations of a request, at most `limits.NAMED_VIOLATIONS`; later ones are dropped.

    Checks stop once it is full: a request of 4 MiB can have millions of bad fields.
    """

    def append(self, violation: FieldViolation) -> None:
        """Adds a violation, unless the list is full."""
        if not self.is_full:
            super().append(violation)

    @property
    def is_full(self) -> bool:
        """Whether further violations are dropped."""
        return len(self) >= limits.NAMED_VIOLATIONS


@dataclass(frozen=True, slots=True)
class Window:
    """How far a `created_at` may lie before (`back`) and after (`ahead`) the server's time, in seconds."""

    back: float
    ahead: float


def require(violations: Sequence[FieldViolation]) -> None:
    """Raises InvalidArgument if there is any violation."""
    if violations:
        raise InvalidArgument(violations)


def check_id(value: str, field: str, violations: Violations, *, required: bool = True) -> None:
    """Checks an id: 1 to `limits.ID_CHARACTERS` characters, no control characters."""
    if not value:
        if required:
            violations.append(FieldViolation(field, "is required"))
    elif len(value) > limits.ID_CHARACTERS:
        violations.append(
            FieldViolation(field, f"has {len(value)} characters; {limits.ID_CHARACTERS} are allowed", LIMIT)
        )
    elif _has_control_character(value):
        violations.append(FieldViolation(field, "contains a control character"))


def checked_id(value: str, field: str) -> str:
    """Returns the value if it is an id. Raises InvalidArgument naming the field."""
    violations = Violations()
    check_id(value, field, violations)
    require(violations)
    return value


def check_optional_id(value: str, field: str) -> None:
    """Raises InvalidArgument unless the value is empty or an id."""
    if value:
        checked_id(value, field)


def checked_page_size(page_size: int) -> int:
    """The number of rows to return for a requested page size. Raises InvalidArgument."""
    violations = Violations()
    checked = check_page_size(page_size, violations)
    require(violations)
    return checked


def checked_run_id(value: str) -> str:
    """Returns the value if it is a run id, which becomes part of file names. Raises InvalidArgument."""
    if not is_run_id(value):
        raise InvalidArgument([FieldViolation("run_id", f"must be {RUN_ID_FORM}")])
    return value


def check_session(session: session_pb2.Session, window: Window | None, now: datetime) -> None:
    """Checks a session; without a window any `created_at` passes. Raises InvalidArgument with the violations."""
    violations = Violations()
    check_id(session.session_id, "session.session_id", violations)
    check_id(session.user_id, "session.user_id", violations, required=False)
    check_length(session.query, limits.QUERY_CHARACTERS, "session.query", violations)
    _check_circumstances(session, violations)
    if session.score_kind not in session_pb2.ScoreKind.values():
        violations.append(FieldViolation("session.score_kind", "is not a known value"))
    if session.HasField("created_at"):
        check_created_at(session.created_at, "session.created_at", window, now, violations)
    if len(session.results) > limits.RESULTS_PER_SESSION:
        description = f"has {len(session.results)} results; {limits.RESULTS_PER_SESSION} are allowed"
        violations.append(FieldViolation("session.results", description, LIMIT))
    else:
        _check_results(session, violations)
    if (size := session.ByteSize()) > limits.SESSION_BYTES:
        violations.append(FieldViolation("session", f"has {size} bytes; {limits.SESSION_BYTES} are allowed", LIMIT))
    require(violations)


def _check_circumstances(session: session_pb2.Session, violations: Violations) -> None:
    """Checks how the user searched, and which backend sent the session."""
    if session.HasField("context"):
        check_struct(session.context, "session.context", violations)
    if session.HasField("filter"):
        check_struct(session.filter, "session.filter", violations)
    check_length(session.sort, limits.SORT_CHARACTERS, "session.sort", violations)
    check_number(session.page.offset, limits.SEARCH_PAGE_OFFSET, "session.page.offset", violations)
    check_number(session.page.size, limits.SEARCH_PAGE_SIZE, "session.page.size", violations)
    for name, characters in (("name", limits.CLIENT_NAME_CHARACTERS), ("version", limits.CLIENT_VERSION_CHARACTERS)):
        value, field = getattr(session.client, name), f"session.client.{name}"
        check_length(value, characters, field, violations)
        if _has_control_character(value):
            violations.append(FieldViolation(field, "contains a control character"))
    check_length(session.user_agent, limits.USER_AGENT_CHARACTERS, "session.user_agent", violations)


def check_length(value: str, characters: int, field: str, violations: Violations) -> None:
    """Checks that a text has at most this number of characters."""
    if len(value) > characters:
        violations.append(FieldViolation(field, f"has {len(value)} characters; {characters} are allowed", LIMIT))


def check_number(value: int, highest: int, field: str, violations: Violations) -> None:
    """Checks that a number, which cannot be negative, is at most `highest`."""
    if value > highest:
        violations.append(FieldViolation(field, f"must be at most {highest}", LIMIT))


def _has_control_character(value: str) -> bool:
    """Whether a text has a character of Unicode's category Cc: C0, DEL or C1."""
    return not value.isprintable() and any(ord(character) < 32 or 127 <= ord(character) < 160 for character in value)


def _check_results(session: session_pb2.Session, violations: Violations) -> None:
    seen: set[str] = set()
    before = -1
    placed = bool(session.results) and session.results[0].HasField("position")
    scored = session.score_kind != session_pb2.SCORE_KIND_UNSPECIFIED
    for index, result in enumerate(session.results):
        if violations.is_full:
            return
        field = f"session.results[{index}]"
        check_id(result.object_id, f"{field}.object_id", violations)
        if result.object_id in seen:
            violations.append(FieldViolation(f"{field}.object_id", "is shown twice in this session"))
        seen.add(result.object_id)
        if result.HasField("position") != placed:
            violations.append(FieldViolation(f"{field}.position", "must be present on every result or on none"))
        elif placed:
            if result.position <= before:
                violations.append(FieldViolation(f"{field}.position", "must be above the previous position"))
            check_number(result.position, limits.POSITION, f"{field}.position", violations)
            before = result.position
        if result.HasField("score"):
            if not math.isfinite(result.score):
                violations.append(FieldViolation(f"{field}.score", "must be finite"))
            if not scored:
                violations.append(FieldViolation("session.score_kind", "is required beside a score"))
                scored = True  # one violation of it is enough
        if result.HasField("meta"):
            check_struct(result.meta, f"{field}.meta", violations)
        if result.kind not in session_pb2.ResultKind.values():
            violations.append(FieldViolation(f"{field}.kind", "is not a known value"))


def check_event_count(count: int, field: str, violations: Violations) -> None:
    """Checks the number of events of one push: 1 to `limits.EVENTS_PER_CALL`."""
    if not count:
        violations.append(FieldViolation(field, "is required"))
    if count > limits.EVENTS_PER_CALL:
        description = f"has {count} events; {limits.EVENTS_PER_CALL} are allowed"
        violations.append(FieldViolation(field, description, LIMIT))


def check_event(event: session_pb2.Event, field: str, window: Window | None, now: datetime) -> Violations:
    """The violations of one event; `field` is its path."""
    violations = Violations()
    check_id(event.event_id, f"{field}.event_id", violations)
    check_id(event.object_id, f"{field}.object_id", violations)
    if not event.type:
        violations.append(FieldViolation(f"{field}.type", "is required"))
    elif len(event.type) > limits.TYPE_CHARACTERS:
        description = f"has {len(event.type)} characters; {limits.TYPE_CHARACTERS} are allowed"
        violations.append(FieldViolation(f"{field}.type", description, LIMIT))
    elif not limits.NAME_ALPHABET.issuperset(event.type):
        violations.append(FieldViolation(f"{field}.type", "may only contain letters, digits, `_`, `-` and `.`"))
    if event.HasField("created_at"):
        check_created_at(event.created_at, f"{field}.created_at", window, now, violations)
    if event.HasField("meta"):
        check_struct(event.meta, f"{field}.meta", violations)
    if (size := event.ByteSize()) > limits.EVENT_BYTES:
        violations.append(FieldViolation(field, f"has {size} bytes; {limits.EVENT_BYTES} are allowed", LIMIT))
    return violations


def check_timestamp(value: Timestamp, field: str, violations: Violations) -> bool:
    """Checks that a timestamp is valid (within the years 1 to 9999), and returns whether it is."""
    valid = MIN_SECONDS <= value.seconds <= MAX_SECONDS and 0 <= value.nanos < 1_000_000_000
    if not valid:
        violations.append(FieldViolation(field, "is not a valid timestamp"))
    return valid


def check_created_at(
    value: Timestamp, field: str, window: Window | None, now: datetime, violations: Violations
) -> None:
    """Checks that a timestamp is valid and lies in the window around now; without a window any time passes."""
    if not check_timestamp(value, field, violations) or window is None:
        return
    age = now.timestamp() - value.seconds - value.nanos / 1e9
    if age > window.back:
        description = f"lies {age:.0f} s back; {window.back:.0f} s are accepted unless `historical` is set"
    elif -age > window.ahead:
        description = f"lies {-age:.0f} s ahead; {window.ahead:.0f} s are accepted"
    else:
        return
    violations.append(FieldViolation(field, description, Reason.CREATED_AT_OUT_OF_WINDOW))


def check_struct(struct: Struct, field: str, violations: Violations) -> None:
    """Checks free data: at most `limits.META_BYTES`, `limits.META_DEPTH` levels, and valid as JSON."""
    if (size := struct.ByteSize()) > limits.META_BYTES:
        violations.append(FieldViolation(field, f"has {size} bytes; {limits.META_BYTES} are allowed", LIMIT))
        return
    _check_values(_members(field, struct), 1, violations)


def _check_values(values: Iterable[tuple[str, Value]], depth: int, violations: Violations) -> None:
    for field, value in values:
        if violations.is_full:
            return
        kind = value.WhichOneof("kind")
        if kind is None:
            violations.append(FieldViolation(field, "has no value; use null_value for null"))
        elif kind == "number_value" and not math.isfinite(value.number_value):
            violations.append(FieldViolation(field, "must be finite"))
        elif kind in ("struct_value", "list_value"):
            if depth >= limits.META_DEPTH:
                violations.append(FieldViolation(field, f"is nested deeper than {limits.META_DEPTH} levels", LIMIT))
            elif kind == "struct_value":
                _check_values(_members(field, value.struct_value), depth + 1, violations)
            else:
                items = enumerate(value.list_value.values)
                _check_values(((f"{field}[{index}]", item) for index, item in items), depth + 1, violations)


def _members(field: str, struct: Struct) -> Iterator[tuple[str, Value]]:
    """The values of a Struct with their paths. Paths are cut: thousands of values may share one long key."""
    return ((short(f"{field}.{key}"), value) for key, value in struct.fields.items())


def check_page_size(page_size: int, violations: Violations) -> int:
    """The number of rows to return for a requested page size, of which 0 means the default."""
    if page_size < 0:
        violations.append(FieldViolation("page_size", "must not be negative"))
    return min(page_size, limits.PAGE_SIZE) or limits.DEFAULT_PAGE_SIZE


def check_after_number(after_number: int, violations: Violations) -> None:
    """Checks a session number after which to continue; 0 means from the start."""
    if not 0 <= after_number < 2**53:
        violations.append(FieldViolation("after_number", "must be from 0 to 2^53 - 1"))
