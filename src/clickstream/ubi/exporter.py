"""Sessions as documents of UBI 1.3 in the bulk form, whose action lines carry the ids of the events.

UBI has no room for scores, the filter, the sort order, the page, the client, the user agent, the context beside its
application, positions with gaps, the meta of events, and marks. docs/import-export.md lists what is lost.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any

from embedding_studio.clickstream.v1 import session_pb2 as wire
from google.protobuf.timestamp_pb2 import Timestamp

# Key in a result's meta → the name of that field in an event's object.
_OBJECT_FIELDS = {"title": "name", "text": "description", "brand": "brand", "category": "category"}


def lines_of(stored: wire.StoredSession) -> Iterator[bytes]:
    """The lines of one session: its query document, then a document per event, each behind its action line."""
    session = stored.session
    shared: dict[str, Any] = {"query_id": session.session_id}
    if application := _text(session.context.fields.get("application")):
        shared["application"] = application
    if session.user_id:
        shared |= {"user_id": session.user_id, "client_id": session.user_id}
    query = session.query.strip()
    yield _action("ubi_queries", session.session_id)
    yield _line(
        {
            **shared,
            "user_query": query,
            "query_response_hit_ids": [result.object_id for result in session.results],
            "timestamp": _time(session.created_at),
        }
    )
    shown = {result.object_id: (index, result) for index, result in enumerate(session.results)}
    for event in stored.events:
        attributes: dict[str, Any] = {"object": {"object_id": event.object_id}}
        ordinal = event.meta.fields.get("ordinal")
        if event.object_id in shown:
            index, result = shown[event.object_id]
            attributes["object"] |= _texts(result)
            attributes["position"] = {"ordinal": index}
        if ordinal is not None and ordinal.WhichOneof("kind") == "number_value":
            attributes["position"] = {"ordinal": int(ordinal.number_value)}
        yield _action("ubi_events", event.event_id)
        yield _line(
            {
                **shared,
                "action_name": event.type,
                "user_query": query,
                "timestamp": _time(event.created_at),
                "event_attributes": attributes,
            }
        )


def _texts(result: wire.Result) -> dict[str, str]:
    fields = result.meta.fields
    return {name: text for key, name in _OBJECT_FIELDS.items() if (text := _text(fields.get(key)).strip())}


def _text(value: Any) -> str:
    return value.string_value if value is not None else ""


def _time(at: Timestamp) -> str:
    """ISO 8601 in microseconds: an import reads no more of it."""
    return at.ToDatetime(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _action(index: str, document_id: str) -> bytes:
    return _line({"index": {"_index": index, "_id": document_id}})


def _line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
