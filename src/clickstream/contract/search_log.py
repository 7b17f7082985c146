"""Stored sessions and events as figures are counted from them."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, cast

from embedding_studio.clickstream.v1 import session_pb2
from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct

from clickstream.domain import limits
from clickstream.domain.analytics import Segments
from clickstream.domain.sessions import StoredSession


@dataclass(frozen=True, slots=True)
class LoggedSearch:
    """What figures need of a session.

    `others` are the objects that it showed with another kind than text. `metas` are the `meta` of all results, which
    read like dicts, if they were asked for. `places` are the 1-based places of `objects`. `context` has the value of
    each declared path, and `meta` for each declared path the value of every result; None where there is none.
    """

    query: str
    payload_search: bool
    client: str
    sort: str
    filtered: bool
    user_agent: str
    objects: Sequence[str]
    others: Set[str]
    metas: Sequence[Mapping[str, Any]]
    places: Sequence[int]
    context: Sequence[str | None]
    meta: Sequence[Sequence[str | None]]


def logged_search(session: StoredSession, segments: Segments, *, with_metas: bool = False) -> LoggedSearch:
    """A stored session as figures are counted from it. Raises ValueError if its payload cannot be read."""
    try:
        search = session_pb2.Session.FromString(session.payload)
    except DecodeError as error:
        raise ValueError(f"the payload of session number {session.number} cannot be read") from error
    results = search.results
    count = len(results)
    placed = count > 0 and results[0].HasField("position")  # then every result has one
    context = [_value(search.context, *_names(path)) for path in segments.context]
    meta = [[_value(result.meta, outer, last) for result in results] for outer, last in map(_names, segments.meta)]
    return LoggedSearch(
        query=search.query,
        payload_search=search.payload_search,
        client=search.client.name,
        sort=search.sort,
        filtered=bool(search.filter.fields),
        user_agent=search.user_agent,
        objects=[result.object_id for result in results],
        others={each.object_id for each in results if each.kind != session_pb2.RESULT_KIND_UNSPECIFIED},
        metas=[cast(Mapping[str, Any], result.meta) for result in results] if with_metas else (),
        places=[result.position + 1 for result in results] if placed else range(1, count + 1),
        context=context,
        meta=meta,
    )


def acted_object(payload: bytes) -> str:
    """The object that a stored event is about. Raises ValueError if its payload cannot be read."""
    try:
        return session_pb2.Event.FromString(payload).object_id
    except DecodeError as error:
        raise ValueError("the payload of an event cannot be read") from error


def _names(path: str) -> tuple[Sequence[str], str]:
    """The names of a path: those that lead to the last one, and the last."""
    *outer, last = path.split(".")
    return outer, last


def _value(struct: Struct, outer: Sequence[str], last: str) -> str | None:
    """The text, number or flag at a path, as text of at most `limits.ID_CHARACTERS`; None if there is none."""
    fields = struct.fields
    for name in outer:
        if name not in fields:
            return None
        fields = fields[name].struct_value.fields
    if last not in fields:
        return None
    value = fields[last]
    if text := value.string_value:  # the usual kind
        return text[: limits.ID_CHARACTERS]
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return ""
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind == "number_value":
        number = value.number_value
        return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
    return None
