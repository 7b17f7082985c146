"""Reads OpenSearch UBI files: lines in, records out, without I/O, and without an exception for any content.

A file has the form of the `_bulk` API (a line `{"index": {"_index": "ubi_events", "_id": "…"}}` before each document),
is plain ndjson, or has a line per document with its index: `{"_index": "…", "_id": "…", "_source": {…}}` of a dump, or
the index, a tab and the document. Field names are those of the UBI schemas up to 1.3 (https://o19s.github.io/ubi):
`query_id`, `user_query`, `query_response_hit_ids` (`query_response_object_ids` in older ones), `action_name`,
`event_attributes.object.object_id`, `event_attributes.position.ordinal` …

An event's browser, address and page paths are not read.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from clickstream.domain import limits

QUERY = "query"
EVENT = "event"
# The kind of a line that has none.
UNKNOWN = "unknown"
# Names of the indexes: `ubi_queries`, `.ubi_events`; of rolled-over ones: `ubi_events-000002`, `ubi_events_2025.01`.
_INDEX = re.compile(r"\.?ubi_(queries|events)([-_.].*)?")
_TABBED = re.compile(rb"\s*([A-Za-z0-9._-]+)\t(\{.*)", re.DOTALL)

# Key in a result's meta: the names of that field in an event's object, and its length limit in characters.
ITEM_FIELDS = {
    "title": (("title", "name"), 200),
    "text": (("description",), 2_000),
    "brand": (("brand",), 200),
    "category": (("category",), 200),
}

# Names of the field with the ids that a search showed; the first is that of the newest schema.
HITS = ("query_response_hit_ids", "query_response_object_ids")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A timestamp below this number is in seconds, otherwise in milliseconds (1973 as milliseconds, 5138 as seconds).
_MILLISECONDS_FROM = 1e11
_BULK_ACTIONS = {"index", "create", "update", "delete"}


@dataclass(frozen=True, slots=True)
class QueryLine:
    """One query document: a search, a further page of it, or the same search as typed so far."""

    line: int
    query_id: str
    text: str
    hit_ids: tuple[str, ...]
    at: datetime | None
    application: str
    user_id: str


@dataclass(frozen=True, slots=True)
class EventLine:
    """One event document. Absent fields are empty; `typed` is the query text of a `search` event."""

    line: int
    event_id: str
    action: str
    query_id: str
    object_id: str
    at: datetime | None
    ordinal: int | None
    text: str
    typed: str
    application: str
    user_id: str
    item: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Unread:
    """A document, or a line without a document, that cannot be used.

    `repeated` is set if a document with the same id came before: `same` if its content is equal, otherwise `other`.
    """

    line: int
    kind: str
    reason: str
    repeated: str = ""


@dataclass(frozen=True, slots=True)
class _Raw:
    """A document with the line where it starts, and the index and id of its action line; plain ndjson has neither."""

    line: int
    text: bytes
    index: str | None = None
    document_id: str = ""


class _UnusableError(Exception):
    """A document that cannot be used; the message is the reason."""


def read(lines: Iterable[bytes]) -> Iterator[QueryLine | EventLine | Unread]:
    """Yields one record per document, in the order of the file; blank lines are skipped."""
    digests: dict[tuple[str, str], bytes] = {}
    for raw in _documents(lines):
        if isinstance(raw, Unread):
            yield raw
            continue
        kind = UNKNOWN
        try:
            document, digest = _parse(raw.text)
            schema = _schema(raw, document)
            kind = QUERY if schema == QUERY else _string(document, "action_name") or UNKNOWN
            document_id = raw.document_id or digest.hex()[:32]
            before = digests.setdefault((schema, document_id), digest)
            if before is not digest:
                repeated = "same" if before == digest else "other"
                yield Unread(
                    raw.line, kind, f"a document with the same id and {repeated} content came before", repeated
                )
            elif schema == QUERY:
                yield _query(raw.line, document)
            else:
                yield _event(raw.line, document_id, document)
        except _UnusableError as error:
            yield Unread(raw.line, kind, str(error))


def _documents(lines: Iterable[bytes]) -> Iterator[_Raw | Unread]:
    """Pairs action lines with their documents."""
    bulk: bool | None = None
    action: _Raw | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if action is not None:
            yield _Raw(action.line, line, action.index, action.document_id)
            action = None
            continue
        if tabbed := _TABBED.fullmatch(line):
            yield _Raw(number, tabbed[2], tabbed[1].decode())
            continue
        try:
            head, _ = _parse(line)
        except _UnusableError as error:
            yield Unread(number, UNKNOWN, str(error))
            continue
        if isinstance(head.get("_source"), dict):
            source = json.dumps(head["_source"]).encode()
            yield _Raw(number, source, _string(head, "_index") or None, _string(head, "_id"))
            continue
        verb = next(iter(head)) if len(head) == 1 else ""
        if verb not in _BULK_ACTIONS or not isinstance(head[verb], dict):
            # In a bulk file this document has lost its action line, and with it its id. With a made-up id, an import of
            # the mended file would count it twice.
            yield Unread(number, UNKNOWN, "a document without its action line") if bulk else _Raw(number, line)
            bulk = bool(bulk)
            continue
        bulk = True
        if verb == "delete":
            yield Unread(number, UNKNOWN, "a deletion, which is not imported")
            continue
        # An update's document is a fragment: this index name makes `_schema` refuse it.
        index = "(update)" if verb == "update" else _string(head[verb], "_index")
        action = _Raw(number, b"", index, _string(head[verb], "_id"))
    if action is not None:
        yield Unread(action.line, UNKNOWN, "the file ends after the action line")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _parse(line: bytes) -> tuple[dict[str, Any], bytes]:
    """Parses a JSON object; returns it with a digest of its content that ignores the order of keys."""
    try:
        document = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
        # The encoding refuses half a surrogate pair, too: no protobuf string can carry it.
        canonical = json.dumps(document, sort_keys=True, ensure_ascii=False).encode("utf-8")
    except UnicodeError as error:
        raise _UnusableError("not valid UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        raise _UnusableError("not valid JSON") from error
    if not isinstance(document, dict):
        raise _UnusableError("not a JSON object")
    return document, hashlib.sha256(canonical).digest()


def _schema(raw: _Raw, document: Mapping[str, Any]) -> str:
    if raw.index:
        named = _INDEX.fullmatch(raw.index)
        if named is None:
            raise _UnusableError(f"unknown index name {raw.index[:64]!r}")
        return QUERY if named[1] == "queries" else EVENT
    if "action_name" in document:
        return EVENT
    if "user_query" in document or any(name in document for name in HITS):
        return QUERY
    raise _UnusableError("neither a UBI query nor a UBI event")


def _query(line: int, document: Mapping[str, Any]) -> QueryLine:
    name = next((name for name in HITS if document.get(name) is not None), HITS[0])
    hits = document.get(name)
    if hits is not None and not isinstance(hits, list):
        raise _UnusableError(f"{name} is not a list")
    query_id = _string(document, "query_id")
    if not query_id:
        raise _UnusableError("no query_id")
    return QueryLine(
        line=line,
        query_id=query_id,
        text=_string(document, "user_query").strip(),
        hit_ids=tuple(hit for hit in map(_as_string, hits or ()) if hit),
        at=_time(document.get("timestamp")),
        application=_string(document, "application"),
        user_id=_string(document, "user_id") or _string(document, "client_id"),
    )


def _event(line: int, event_id: str, document: Mapping[str, Any]) -> EventLine:
    action = _string(document, "action_name")
    if not action:
        raise _UnusableError("no action_name")
    attributes = _mapping(document, "event_attributes")
    item = _mapping(attributes, "object")
    return EventLine(
        line=line,
        event_id=event_id,
        action=action,
        query_id=_string(document, "query_id"),
        object_id=_string(item, "object_id"),
        at=_time(document.get("timestamp")),
        ordinal=_ordinal(_mapping(attributes, "position").get("ordinal")),
        text=_string(document, "user_query").strip(),
        typed=_string(document, "message").strip() if document.get("message_type") == "QUERY" else "",
        application=_string(document, "application"),
        user_id=_string(document, "user_id") or _string(document, "client_id"),
        item=_item_texts(item),
    )


def _ordinal(value: object) -> int | None:
    """A position from 0 to the contract's limit: a number, its digits, or `{"index": 3}` as in schemas 1.0 to 1.2."""
    if isinstance(value, dict):
        value = value.get("index")
    if isinstance(value, str) and value.strip().isdecimal():
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= limits.POSITION:
        return None
    return int(value) if value == int(value) else None


def _item_texts(item: Mapping[str, Any]) -> dict[str, str]:
    texts = {}
    for key, (names, length) in ITEM_FIELDS.items():
        value = next((text for name in names if (text := _string(item, name).strip())), "")
        if value:
            texts[key] = value[:length]
    return texts


def _mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _string(document: Mapping[str, Any], key: str) -> str:
    return _as_string(document.get(key))


def _as_string(value: object) -> str:
    """Text as it is, a whole number in digits (some shops number their items), otherwise empty."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""


def _is_date(value: str) -> bool:
    """Whether a text is a date rather than a number; eight digits from 19000101 on are one, without dashes."""
    if len(value) == 8 and value.isdecimal():
        return value >= "19000101"
    try:
        float(value)
    except ValueError:
        return True
    return False


def _time(value: object) -> datetime | None:
    """Reads ISO 8601 (UTC if it names no zone), or seconds or milliseconds since 1970; None for anything else."""
    try:
        if isinstance(value, str) and _is_date(value.strip()):
            at = datetime.fromisoformat(value.strip())
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        number = float(value)
        return _EPOCH + timedelta(seconds=number / 1000 if number >= _MILLISECONDS_FROM else number)
    except (ValueError, OverflowError):
        return None
