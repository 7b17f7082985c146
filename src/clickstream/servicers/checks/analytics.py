"""Checks of requests for figures."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from embedding_studio.clickstream.v1 import analytics_service_pb2 as pb
from embedding_studio.clickstream.v1 import figures_pb2

from clickstream.contract.encoding import utc
from clickstream.domain import limits
from clickstream.domain.analytics import CONTEXT, META, OF_RESULTS, OF_SEARCHES
from clickstream.domain.batches import sequence_of
from clickstream.domain.errors import FieldViolation, Reason
from clickstream.domain.figures import Population, Question
from clickstream.domain.windows import DEFAULT_LENGTH, Bucket, Window
from clickstream.servicers.checks import fields

DIMENSIONS = ", ".join([*OF_RESULTS, *OF_SEARCHES, f"{CONTEXT}PATH", f"{META}PATH"])
LONGEST_WINDOW = timedelta(days=3660)
# Parts of time, and the window before, must be times, too.
FIRST_YEAR, LAST_YEAR = 100, 9_900


def checked_window(
    message: figures_pb2.Window | None, field: str, now: datetime, violations: fields.Violations
) -> Window:
    """The window that a request means; one that it leaves out ends now. Adds what is wrong with it."""
    message = message or figures_pb2.Window()
    zone = _zone(message.time_zone, f"{field}.time_zone", violations)
    valid = [
        fields.check_timestamp(value, f"{field}.{name}", violations)
        for name, value in (("start", message.start), ("end", message.end))
        if message.HasField(name)
    ]
    default = Window.around(now - DEFAULT_LENGTH, now, zone)
    if not all(valid):
        return default
    end = utc(message.end) if message.HasField("end") else now
    try:
        start = utc(message.start) if message.HasField("start") else end - DEFAULT_LENGTH
        window = Window.around(start, end, zone)
    except OverflowError:
        violations.append(FieldViolation(f"{field}.end", "lies too close to the first or last year"))
        return default
    if start >= end:
        violations.append(FieldViolation(f"{field}.end", "must lie after `start`"))
        return default
    beyond = [name for name, at in (("start", start), ("end", end)) if not FIRST_YEAR <= at.year <= LAST_YEAR]
    for name in beyond:
        violations.append(FieldViolation(f"{field}.{name}", f"must lie in the years {FIRST_YEAR} to {LAST_YEAR}"))
    if beyond:
        return default
    if end - start > LONGEST_WINDOW:
        description = f"lies more than {LONGEST_WINDOW.days:,} days after `start`"
        violations.append(FieldViolation(f"{field}.end", description, Reason.LIMIT_EXCEEDED))
        return default
    return window


def _zone(name: str, field: str, violations: fields.Violations) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        allowed = "must be a time zone of the IANA database, `Europe/Berlin` for example"
        violations.append(FieldViolation(field, allowed))
        return ZoneInfo("UTC")


def checked_bucket(value: int, window: Window, violations: fields.Violations) -> Bucket:
    """The length of the parts of a window. Adds what is wrong with it: too many parts, for example."""
    if value not in pb.Bucket.values():
        violations.append(FieldViolation("bucket", "is not a known value"))
        return Bucket.WHOLE
    name = pb.Bucket.Name(value).removeprefix("BUCKET_")
    bucket = Bucket.WHOLE if name == "UNSPECIFIED" else Bucket[name]
    # The number of parts is known to within two before they are made.
    if window.count(bucket) > limits.FIGURE_BUCKETS + 2 or len(window.edges(bucket)) - 1 > limits.FIGURE_BUCKETS:
        description = f"makes more than {limits.FIGURE_BUCKETS} parts of the window"
        violations.append(FieldViolation("bucket", description, Reason.LIMIT_EXCEEDED))
        return Bucket.WHOLE
    return bucket


def check_dimension(value: str, field: str, violations: fields.Violations) -> None:
    """Checks the name of a dimension."""
    path = value.removeprefix(CONTEXT) if value.startswith(CONTEXT) else value.removeprefix(META)
    is_path = path != value and len(path) <= limits.ID_CHARACTERS and all(path.split("."))
    if not is_path and value not in OF_RESULTS and value not in OF_SEARCHES:
        violations.append(FieldViolation(field, f"must be one of {DIMENSIONS}"))


def checked_question(
    filters: Sequence[figures_pb2.Filter],
    population: figures_pb2.Population,
    field: str,
    violations: fields.Violations,
    *,
    of_searches_only: bool = False,
) -> Question:
    """What is kept and which searches count. Adds what is wrong with it."""
    kept: dict[str, Sequence[str]] = {}
    if len(filters) > limits.FIGURE_FILTERS:
        description = f"has {len(filters)} filters; {limits.FIGURE_FILTERS} are allowed"
        violations.append(FieldViolation(field, description, Reason.LIMIT_EXCEEDED))
        return Question()
    for index, each in enumerate(filters):
        path = f"{field}[{index}]"
        check_dimension(each.dimension, f"{path}.dimension", violations)
        if each.dimension in kept:
            violations.append(FieldViolation(f"{path}.dimension", "has a filter already"))
        if of_searches_only and (each.dimension in OF_RESULTS or each.dimension.startswith(META)):
            violations.append(FieldViolation(f"{path}.dimension", "must be a dimension of searches"))
        _check_values(each, f"{path}.values", violations)
        kept[each.dimension] = tuple(dict.fromkeys(each.values))
    return Question(kept, checked_population(population))


def checked_population(population: figures_pb2.Population) -> Population:
    """Which searches count."""
    return Population(population.include_irrelevant, population.collapse_typing, population.include_robots)


def _check_values(message: figures_pb2.Filter, field: str, violations: fields.Violations) -> None:
    if not message.values:
        violations.append(FieldViolation(field, "is required"))
    elif len(message.values) > limits.FILTER_VALUES:
        description = f"has {len(message.values)} values; {limits.FILTER_VALUES} are allowed"
        violations.append(FieldViolation(field, description, Reason.LIMIT_EXCEEDED))
    for index, value in enumerate(message.values[: limits.FILTER_VALUES]):
        if len(value) > limits.QUERY_CHARACTERS:
            description = f"has {len(value)} characters; {limits.QUERY_CHARACTERS} are allowed"
            violations.append(FieldViolation(f"{field}[{index}]", description, Reason.LIMIT_EXCEEDED))
        elif allowed := _not_allowed(message.dimension, value):
            violations.append(FieldViolation(f"{field}[{index}]", f"must be {allowed}"))


def _not_allowed(dimension: str, value: str) -> str:
    """What a filter's value must be, if it is not; otherwise ""."""
    if dimension == "position":
        is_place = value.isascii() and value.isdigit() and len(value) < 10 and int(value) > 0
        return "" if is_place else "a place from 1 on"
    if dimension == "filtered":
        return "" if value in ("true", "false") else "`true` or `false`"
    if dimension == "batch":
        return "" if sequence_of(value) else "a batch id"
    return ""


def checked_value_limit(value: int, violations: fields.Violations) -> int:
    """The number of values to answer."""
    if not 0 <= value <= limits.FIGURE_VALUES:
        violations.append(FieldViolation("value_limit", f"must be from 0 to {limits.FIGURE_VALUES}"))
    return value or limits.DEFAULT_FIGURE_VALUES


def utc_milliseconds(moment: datetime) -> int:
    """A time as milliseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def is_window(begin: int, end: int) -> bool:
    """Whether a window can have these ends, in milliseconds since 1970."""
    return 0 < end - begin <= LONGEST_WINDOW // timedelta(milliseconds=1) + 2 * 900_000 and end < 2**47


GROUPS = ("day", "batch", "client")


def check_quality_request(request: pb.GetDataQualityRequest, violations: fields.Violations) -> None:
    """Checks what is asked about data quality, beside the window."""
    fields.check_id(request.batch_id, "batch_id", violations, required=False)
    if request.batch_id and request.HasField("window"):
        violations.append(FieldViolation("window", "must be absent with a `batch_id`"))
    if request.group_by and request.group_by not in GROUPS:
        violations.append(FieldViolation("group_by", f"must be one of {', '.join(GROUPS)}"))
