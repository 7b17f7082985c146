"""Quick checks: a message that passes has no fault; any other goes through `fields`, which names its faults.

`fields` alone decides what is refused. The quick checks spare it the ordinary message: walking every value of
fifty `meta` in Python would cost more than everything else that a call does. They look at the *serialized*
message as this process wrote it, without unknown fields: protobuf writes one encoding then (minimal varints,
every field of a message in one piece), so the absence of a byte pattern proves the absence of its field. A
pattern that occurs by chance, inside a text, costs the full check and nothing more.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from embedding_studio.clickstream.v1 import session_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from clickstream.domain import limits
from clickstream.servicers.checks.fields import MAX_SECONDS, MIN_SECONDS, Window

# Tags by https://protobuf.dev/programming-guides/encoding: Value.number_value is field 2 of wire
# type I64 (0x11); struct_value is 5 (0x2a), list_value 6 (0x32); an element of either is 1 (0x0a), and
# the value of a map's entry 2 (0x12). Result.score is field 3, I64 (0x19).
# The patterns begin with one plain byte, by which `re` searches ten times as fast as by a set of bytes.
_NOT_FINITE, _NEGATIVE_NOT_FINITE = (
    re.compile(last + rb"(?<=[\x11\x19].{6}[\xf0-\xff]" + last + rb")", re.DOTALL) for last in (rb"\x7f", rb"\xff")
)
_EMPTY_VALUE = re.compile(rb"\x00(?<=[\x0a\x12]\x00)")
# Right behind the tag and the length of its Value, and not empty: so text that ends in a digit is none.
_BEHIND_VALUE = rb"(?:(?<=[\x0a\x12].%b)|(?<=[\x0a\x12][\x80-\xff].%b)|(?<=[\x0a\x12][\x80-\xff]{2}.%b))"
_NOT_EMPTY = rb"(?=(?:[\x00-\x7f]|[\x80-\xff]{1,2}[\x00-\x7f])\x0a)"
_NESTED_STRUCT, _NESTED_LIST = (
    re.compile(tag + _BEHIND_VALUE % (tag, tag, tag) + _NOT_EMPTY, re.DOTALL) for tag in (rb"\x2a", rb"\x32")
)
# The deepest level allowed holds values only, and the first is the Struct itself.
_LEVELS = limits.META_DEPTH - 1
_SCORE_KINDS = frozenset(session_pb2.ScoreKind.values())
_RESULT_KINDS = frozenset(session_pb2.ResultKind.values())


class Span(NamedTuple):
    """Seconds since 1970 between which a `created_at` surely lies in the window."""

    earliest: int
    latest: int


def span(window: Window | None, now: datetime) -> Span:
    """The span of a window around now; of every valid time for none."""
    if window is None:
        return Span(MIN_SECONDS, MAX_SECONDS)
    seconds = int(now.timestamp())
    return Span(seconds - int(window.back) + 1, seconds + int(window.ahead) - 1)


def push_passes(session_id: str, event_count: int) -> bool:
    """Whether the events of a push need only be looked at one by one."""
    return _id_passes(session_id) and 0 < event_count <= limits.EVENTS_PER_CALL


def event_passes(event: session_pb2.Event, payload: bytes, within: Span) -> bool:
    """Whether an event is surely without fault; `payload` is its encoding."""
    return (
        _id_passes(event.event_id)
        and _id_passes(event.object_id)
        and _is_type(event.type)
        and _time_passes(event.created_at, within)
        and len(payload) <= limits.EVENT_BYTES
        and (not event.HasField("meta") or (len(payload) <= limits.META_BYTES and _structs_pass(payload)))
    )


def events_pass(
    events: Sequence[session_pb2.Event], event_ids: list[str], types: list[str], payloads: Sequence[bytes]
) -> bool:
    """Whether several events, without `meta` and with the server's time, are surely without fault.

    Several at once: one by one, each would cost four times as much. The lists are their ids, their types and
    their encodings.
    """
    return (
        max(map(len, payloads)) <= limits.EVENT_BYTES
        and _ids_pass(event_ids)
        and _ids_pass([event.object_id for event in events])
        and all(map(_is_type, set(types)))
        and not any(event.HasField("meta") for event in events)
    )


def session_passes(session: session_pb2.Session, payload: bytes, within: Span) -> bool:
    """Whether a session is surely without fault; `payload` is its encoding."""
    return (
        len(payload) <= limits.META_BYTES  # and so is every Struct in it
        and _id_passes(session.session_id)
        and len(session.user_id) <= limits.ID_CHARACTERS
        and session.user_id.isprintable()
        and len(session.query) <= limits.QUERY_CHARACTERS
        and len(session.sort) <= limits.SORT_CHARACTERS
        and len(session.user_agent) <= limits.USER_AGENT_CHARACTERS
        and (not session.HasField("page") or _page_passes(session.page))
        and (not session.HasField("client") or _client_passes(session.client))
        and _time_passes(session.created_at, within)
        and _results_pass(session)
        and _structs_pass(payload)
    )


def _page_passes(page: session_pb2.Page) -> bool:
    return page.offset <= limits.SEARCH_PAGE_OFFSET and page.size <= limits.SEARCH_PAGE_SIZE


def _client_passes(client: session_pb2.Client) -> bool:
    return (
        len(client.name) <= limits.CLIENT_NAME_CHARACTERS
        and len(client.version) <= limits.CLIENT_VERSION_CHARACTERS
        and (client.name + client.version).isprintable()
    )


def _results_pass(session: session_pb2.Session) -> bool:
    results = list(session.results)  # each time that they are walked, protobuf makes new objects
    if not results:
        return session.score_kind in _SCORE_KINDS
    return (
        len(results) <= limits.RESULTS_PER_SESSION
        and _object_ids_pass([result.object_id for result in results])
        and _RESULT_KINDS.issuperset({result.kind for result in results})
        and _positions_pass(results)
        and _scores_pass(session.score_kind, results)
    )


def _positions_pass(results: Sequence[session_pb2.Result]) -> bool:
    placed = [result.HasField("position") for result in results]
    if not any(placed):
        return True
    positions = [result.position for result in results]
    return (
        all(placed)
        and positions[-1] <= limits.POSITION
        and all(before < after for before, after in pairwise(positions))
    )


def _id_passes(value: str) -> bool:
    return 0 < len(value) <= limits.ID_CHARACTERS and value.isprintable()


def _ids_pass(values: list[str]) -> bool:
    return all(values) and max(map(len, values)) <= limits.ID_CHARACTERS and "".join(values).isprintable()


def _object_ids_pass(object_ids: list[str]) -> bool:
    return len(set(object_ids)) == len(object_ids) and _ids_pass(object_ids)


@lru_cache(maxsize=1_000)
def _is_type(value: str) -> bool:
    return 0 < len(value) <= limits.TYPE_CHARACTERS and limits.NAME_ALPHABET.issuperset(value)


def _time_passes(value: Timestamp, within: Span) -> bool:
    return within.earliest <= value.seconds <= within.latest and 0 <= value.nanos < 1_000_000_000


def _scores_pass(score_kind: int, results: Sequence[session_pb2.Result]) -> bool:
    """Whether the scores have a kind; that they are finite is seen with the Structs."""
    if score_kind == session_pb2.SCORE_KIND_UNSPECIFIED:
        return not any(result.HasField("score") for result in results)
    return score_kind in _SCORE_KINDS


def _structs_pass(payload: bytes) -> bool:
    return (
        _NOT_FINITE.search(payload) is None
        and _NEGATIVE_NOT_FINITE.search(payload) is None
        and _EMPTY_VALUE.search(payload) is None
        and len(_NESTED_STRUCT.findall(payload)) + len(_NESTED_LIST.findall(payload)) < _LEVELS
    )
