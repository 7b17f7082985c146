"""Reads OpenSearch UBI documents: lines in, records out, without I/O, and without an exception for any content.

A line is a document; or a line of the `_bulk` API (`{"index": {"_index": "ubi_events", "_id": "…"}}`), whose document
follows; or a line of a dump (`{"_index": …, "_id": …, "_source": …}`); or an index name, a tab and a document. Field
names are those of the UBI schemas (https://o19s.github.io/ubi), the older ones included.

An event's browser, address and page paths are not read.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from clickstream.ubi.values import id_of, ordinal_of, time_of

QUERY = "query"
EVENT = "event"
# The kind of a line that has none.
UNKNOWN = "unknown"
# An index that was rolled over, or is part of a data stream, has more before or after this name.
_INDEX = re.compile(r"ubi.*?_(queries|events)(?![a-z])")
_INDEX_KINDS = {"queries": QUERY, "events": EVENT}

# Key in a result's meta: the names of that field in an event's object, and its length limit in characters.
ITEM_FIELDS = {
    "title": (("title", "name"), 200),
    "text": (("description",), 2_000),
    "brand": (("brand",), 200),
    "category": (("category",), 200),
}

_HIT_NAMES = ("query_response_hit_ids", "query_response_object_ids", "query_response_hits_ids")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_QUERY_VALUES = 6
# What no query document has: a broken one with it is an event.
_EVENT_SIGN = b'"action_name"'
# How the lines of the `_bulk` API begin that are no documents.
_ACTION_STARTS = tuple(
    f'{{{space}"{verb}"'.encode() for verb in ("index", "create", "update", "delete") for space in ("", " ")
)


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
    """One event document. Absent fields are empty; `typed` is the query text of a `search` event.

    `internal_id` is another id of the object, by which hit lists may name it.
    """

    line: int
    event_id: str
    action: str
    query_id: str
    object_id: str
    internal_id: str
    at: datetime | None
    ordinal: int | None
    text: str
    typed: str
    application: str
    user_id: str
    item: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Unread:
    """A document, or a line without a document, that cannot be used."""

    line: int
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Read:
    """A document that can be used, with the id and the digest by which it is known again."""

    record: QueryLine | EventLine
    schema: str
    document_id: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class _Raw:
    """A document with the line where it starts, and the index and id of its action line; plain ndjson has neither."""

    line: int
    text: bytes
    index: str | None = None
    document_id: str = ""


class _UnusableError(Exception):
    """A document that cannot be used; the message is the reason."""


def read(lines: Iterable[tuple[int, bytes]]) -> Iterator[Read | Unread]:
    """Yields one record per document of `transfer.documents`, in their order."""
    for raw in _documents(lines):
        if isinstance(raw, Unread):
            yield raw
            continue
        kind = EVENT if _EVENT_SIGN in raw.text else UNKNOWN
        try:
            raw, document = _undumped(raw, _parse(raw.text))
            digest = _digest(document)
            schema = _schema(raw, document)
            kind = QUERY if schema == QUERY else _string(document, "action_name") or UNKNOWN
            document_id = raw.document_id or digest.hex()[:32]
            make = _query if schema == QUERY else _event
            yield Read(make(raw.line, document_id, document), schema, document_id, digest)
        except _UnusableError as error:
            yield Unread(raw.line, kind, str(error))


def _documents(lines: Iterable[tuple[int, bytes]]) -> Iterator[_Raw | Unread]:
    """Pairs action lines with their documents."""
    bulk: bool | None = None
    action: _Raw | None = None
    for place, line in lines:
        if action is not None:
            yield _Raw(action.line, line, action.index, action.document_id)
            action = None
            continue
        if not line.startswith(_ACTION_STARTS):
            if bulk and _is_object(line):
                # In a bulk file this document has lost its action line, and with it its id. With a made-up id, an
                # import of the mended file would count it twice.
                kind = EVENT if _EVENT_SIGN in line else UNKNOWN
                yield Unread(place, kind, "a document without its action line")
            else:
                bulk = bool(bulk)
                yield _named(place, line)
            continue
        try:
            head = _parse(line)
        except _UnusableError as error:
            yield Unread(place, UNKNOWN, str(error))
            continue
        verb = next(iter(head), "")
        if len(head) != 1 or not isinstance(head[verb], dict):
            yield _Raw(place, line)
            continue
        bulk = True
        if verb == "delete":
            yield Unread(place, UNKNOWN, "a deletion, which is not imported")
            continue
        # An update's document is a fragment: this index name makes `_schema` refuse it.
        index = "(update)" if verb == "update" else _string(head[verb], "_index")
        action = _Raw(place, b"", index, _string(head[verb], "_id"))
    if action is not None:
        yield Unread(action.line, UNKNOWN, "the file ends after the action line")


def _named(place: int, line: bytes) -> _Raw:
    """A line, without the index name and the tab that may stand before its document."""
    name, tab, document = line.partition(b"\t")
    if tab and not name.lstrip().startswith((b"{", b"[")) and document.lstrip().startswith(b"{"):
        return _Raw(place, document, name.strip().decode("utf-8", "replace"))
    return _Raw(place, line)


def _is_object(line: bytes) -> bool:
    try:
        _parse(line)
    except _UnusableError:
        return False
    return True


def _undumped(raw: _Raw, document: dict[str, Any]) -> tuple[_Raw, dict[str, Any]]:
    """The document of a dump's line, with the index and the id that stand beside it."""
    inner = document.get("_source")
    if not isinstance(inner, dict):
        return raw, document
    index, document_id = _string(document, "_index"), _string(document, "_id")
    return _Raw(raw.line, raw.text, index or raw.index, document_id or raw.document_id), inner


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False)


def _parse(line: bytes) -> dict[str, Any]:
    """Parses a JSON object."""
    try:
        document = _DECODER.decode(line.decode("utf-8"))
    except UnicodeError as error:
        raise _UnusableError("not valid UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        raise _UnusableError("not valid JSON") from error
    if not isinstance(document, dict):
        raise _UnusableError("not a JSON object")
    return document


def _digest(document: object) -> bytes:
    """A digest of the content, which ignores the order of keys."""
    try:
        # The encoding refuses half a surrogate pair, too: no protobuf string can carry it.
        return hashlib.sha256(_ENCODER.encode(document).encode("utf-8")).digest()
    except UnicodeError as error:
        raise _UnusableError("not valid UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        raise _UnusableError("not valid JSON") from error


def _schema(raw: _Raw, document: Mapping[str, Any]) -> str:
    if raw.index:
        match = _INDEX.search(raw.index)
        if match is None:
            raise _UnusableError(f"unknown index name {raw.index[:64]!r}")
        return _INDEX_KINDS[match[1]]
    if "action_name" in document:
        return EVENT
    if "user_query" in document or any(name in document for name in _HIT_NAMES):
        return QUERY
    raise _UnusableError("neither a UBI query nor a UBI event")


def _query(line: int, _: str, document: Mapping[str, Any]) -> QueryLine:
    name = next((name for name in _HIT_NAMES if document.get(name) is not None), _HIT_NAMES[0])
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
        hit_ids=tuple(hit for hit in map(id_of, hits or ()) if hit),
        at=time_of(document.get("timestamp")),
        application=_string(document, "application"),
        user_id=_string(document, "user_id") or _string(document, "client_id"),
    )


def _event(line: int, event_id: str, document: Mapping[str, Any]) -> EventLine:
    action = _string(document, "action_name")
    if not action:
        raise _UnusableError("no action_name")
    attributes = _mapping(document, "event_attributes")
    item = _mapping(attributes, "object") or _mapping(attributes, "data")
    position = attributes.get("position")
    return EventLine(
        line=line,
        event_id=event_id,
        action=action,
        query_id=_string(document, "query_id"),
        object_id=_string(item, "object_id") or _string(item, "internal_id"),
        internal_id=_string(item, "internal_id"),
        at=time_of(document.get("timestamp")),
        ordinal=ordinal_of(position),
        text=_string(document, "user_query").strip(),
        typed=_string(document, "message").strip() if document.get("message_type") == "QUERY" else "",
        application=_string(document, "application"),
        user_id=_string(document, "user_id") or _string(document, "client_id"),
        item=_item_texts(item),
    )


def _item_texts(item: Mapping[str, Any]) -> dict[str, str]:
    texts = {}
    for key, (names, length) in ITEM_FIELDS.items():
        for name in names:
            if name in item and (text := _string(item, name).strip()):
                texts[key] = text[:length]
                break
    return texts


def _mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _string(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    return value if type(value) is str else id_of(value)  # nearly all are texts


def packed(record: QueryLine | EventLine) -> tuple[Any, ...]:
    """The record as plain values, for a spool."""
    at = None if record.at is None else (record.at - EPOCH) // _MICROSECOND
    if isinstance(record, QueryLine):
        return (record.query_id, record.text, record.hit_ids, at, record.application, record.user_id)
    return (
        *(record.event_id, record.action, record.query_id, record.object_id, record.internal_id, at),
        *(record.ordinal, record.text, record.typed, record.application, record.user_id),
    )


def unpacked(line: int, values: tuple[Any, ...]) -> QueryLine | EventLine:
    """A record of `packed`, without the texts of its item."""
    if len(values) == _QUERY_VALUES:
        query_id, text, hit_ids, at, application, user_id = values
        return QueryLine(line, query_id, text, hit_ids, _moment(at), application, user_id)
    *ids, at, ordinal, text, typed, application, user_id = values
    event_id, action, query_id, object_id, internal_id = ids
    return EventLine(
        line,
        event_id,
        action,
        query_id,
        object_id,
        internal_id,
        _moment(at),
        ordinal,
        text,
        typed,
        application,
        user_id,
        {},
    )


def _moment(at: int | None) -> datetime | None:
    return None if at is None else EPOCH + timedelta(microseconds=at)
