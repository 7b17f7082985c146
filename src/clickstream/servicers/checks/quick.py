"""Quick checks: a message that passes has no violation; any other one goes through `fields`, which names them.

Only `fields` decides what is refused. The quick checks spare ordinary messages its cost: walking every value of
fifty `meta` in Python would cost more than the rest of a call. They search the *encoded* message for byte patterns.
The encoding is this process's own, without unknown fields, so protobuf writes it in one form only (minimal varints,
every field of a message in one piece). Therefore a field is absent if its pattern is absent. A pattern that occurs
by chance, inside a text, only costs the full check.
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
# A tag counts only right behind the tag and the length of its Value, and with content: this rules out text, in which
# the same byte is a plain character.
_BEHIND_VALUE = rb"(?:(?<=[\x0a\x12].%b)|(?<=[\x0a\x12][\x80-\xff].%b)|(?<=[\x0a\x12][\x80-\xff]{2}.%b))"
_NOT_EMPTY = rb"(?=(?:[\x00-\x7f]|[\x80-\xff]{1,2}[\x00-\x7f])\x0a)"
_NESTED_STRUCT, _NESTED_LIST = (
    re.compile(tag + _BEHIND_VALUE % (tag, tag, tag) + _NOT_EMPTY, re.DOTALL) for tag in (rb"\x2a", rb"\x32")
)
# The first level is the Struct itself, and the deepest allowed level has no Structs or lists in it.
_LEVELS = limits.META_DEPTH - 1
_SCORE_KINDS = frozenset(session_pb2.ScoreKind.values())
_RESULT_KINDS = frozenset(session_pb2.ResultKind.values())


class Span(NamedTuple):
    """The whole seconds since 1970 that surely lie in a `Window` around now, both ends included."""

    earliest: int
    latest: int


def span(window: Window | None, now: datetime) -> Span:
    """The span of a window around now; without a window, every valid time."""
    if window is None:
        return Span(MIN_SECONDS, MAX_SECONDS)
    seconds = int(now.timestamp())
    return Span(seconds - int(window.back) + 1, seconds + int(window.ahead) - 1)


def push_passes(session_id: str, event_count: int) -> bool:
    """Whether a push has no violation but those of its single events."""
    return _id_passes(session_id) and 0 < event_count <= limits.EVENTS_PER_CALL


def event_passes(event: session_pb2.Event, payload: bytes, within: Span) -> bool:
    """Whether an event surely has no violation; `payload` is its encoding."""
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
    """Whether several events surely have no violation, if their `created_at` is the server's time.

    Events with `meta` never pass. Checking events one by one would cost four times as much.

    Args:
        events: The events.
        event_ids: Their ids.
        types: Their types.
        payloads: Their encodings.
    """
    return (
        max(map(len, payloads)) <= limits.EVENT_BYTES
        and _ids_pass(event_ids)
        and _ids_pass([event.object_id for event in events])
        and all(map(_is_type, set(types)))
        and not any(event.HasField("meta") for event in events)
    )


def session_passes(session: session_pb2.Session, payload: bytes, within: Span) -> bool:
    """Whether a session surely has no violation; `payload` is its encoding."""
    return (
        len(payload) <= limits.META_BYTES  # then every Struct in it is small enough
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
    results = list(session.results)  # protobuf makes new objects at every iteration
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
    """Whether the scores have a kind. `_structs_pass` also checks that they are finite."""
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
