"""Which retries have the content of what is stored (R1): a case for each clause of the rule."""

from collections.abc import Callable
from typing import Any

import pytest
from embedding_studio.clickstream.v1 import session_pb2
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from support.builders import NOW, SECOND, event, push_request, session, struct

from clickstream.contract import same_content as module
from clickstream.contract.same_content import same_event, same_session
from clickstream.domain.sessions import EventDraft, SessionDraft, StoredEvent, StoredSession
from clickstream.servicers.checks import admission

Change = Callable[[Any], None]
# Field 999, which no message has: a string of one character.
UNKNOWN = b"\xba\x3e\x01x"


def drafted(change: Change, at: Any = NOW) -> SessionDraft:
    """A session that was changed, as it is admitted at a time."""
    made = session("s-1", context=struct(number=0, list=[0], inner={"number": 0}), user_id="u")
    change(made)
    return admission.session(made, admission.arrival(at, None))


def drafted_event(change: Change, at: Any = NOW) -> EventDraft:
    """An event that was changed, as it is admitted at a time."""
    made = event("e-1", meta=struct(number=0, list=[0], inner={"number": 0}))
    change(made)
    [draft], _ = admission.events(push_request("s-1", made), admission.arrival(at, None))
    return draft


def sessions_agree(stored: Change, retry: Change, version: int = 1, tail: bytes = b"") -> bool:
    """Whether a retry that comes a second later is the session that was stored by code of a content version."""
    kept, sent = drafted(stored), drafted(retry, NOW + SECOND)
    kept_as = StoredSession(
        "s-1", 1, 1, kept.created_at, kept.server_time, kept.user_id, kept.payload + tail, version=version
    )
    return same_session(sent, kept_as)


def events_agree(stored: Change, retry: Change) -> bool:
    """Whether a retry that comes a second later is the event that was stored."""
    kept, sent = drafted_event(stored), drafted_event(retry, NOW + SECOND)
    return same_event(sent, StoredEvent(1, "e-1", kept.server_time, kept.payload))


def set_to(**values: Any) -> Change:
    """Sets fields."""

    def change(made: Message) -> None:
        for name, value in values.items():
            getattr(made, name).CopyFrom(value) if isinstance(value, Message) else setattr(made, name, value)

    return change


def cleared(name: str) -> Change:
    """Clears a field."""
    return lambda made: made.ClearField(name)


def at(seconds: int) -> Change:
    """Sets the client's time."""
    return lambda made: made.created_at.FromDatetime(NOW + seconds * SECOND)


def placed(*positions: int) -> Change:
    """Gives the results positions."""

    def change(made: session_pb2.Session) -> None:
        for position, result in zip(positions, made.results, strict=True):
            result.position = position

    return change


def scored(score: float) -> Change:
    """Scores the second result."""

    def change(made: session_pb2.Session) -> None:
        made.score_kind = session_pb2.SCORE_KIND_SIMILARITY
        made.results[1].score = score

    return change


def unknown(made: Any) -> None:
    """Adds fields that this code does not know, at three depths."""
    parts = [made, *getattr(made, "results", ()), getattr(made, "context", None) or made.meta]
    for part in parts:
        part.MergeFromString(UNKNOWN)


def numbers(field: str, zero: float) -> Change:
    """Sets the numbers of a Struct, at each depth."""
    return set_to(**{field: struct(number=zero, list=[zero], inner={"number": zero})})


def keys(field: str, names: Any) -> Change:
    """Sets a Struct with these keys, written in this order."""
    return set_to(**{field: struct(**dict.fromkeys(names, 1))})


def result_meta(value: Struct | None) -> Change:
    """Sets the meta of the first result, or clears it."""

    def change(made: session_pb2.Session) -> None:
        made.results[0].ClearField("meta")
        if value is not None:
            made.results[0].meta.CopyFrom(value)

    return change


def nothing(made: object) -> None:
    """Changes nothing."""


NAMES = [f"key-{number}" for number in range(20)]
EMPTY = Struct()
# Clause of the rule → what is stored, what is sent again, and whether that is a retry.
SESSIONS: dict[str, tuple[Change, Change, bool]] = {
    "equal": (nothing, nothing, True),
    "another query": (nothing, set_to(query="blue shoes"), False),
    "fewer results": (nothing, lambda made: made.results.pop(), False),
    "unknown fields in the retry": (nothing, unknown, True),
    "unknown fields in both": (unknown, nothing, True),
    "an empty context for an absent one": (cleared("context"), set_to(context=EMPTY), True),
    "an absent filter for an empty one": (set_to(filter=EMPTY), cleared("filter"), True),
    "an empty meta for an absent one": (result_meta(None), result_meta(EMPTY), True),
    "an absent context for a full one": (nothing, cleared("context"), False),
    "an empty struct in a struct": (set_to(context=struct(a={})), set_to(context=EMPTY), False),
    "-0.0 for 0.0 in a context": (nothing, numbers("context", -0.0), True),
    "0.0 for -0.0 in a filter": (numbers("filter", -0.0), numbers("filter", 0.0), True),
    "-0.0 for 0.0 as a score": (scored(0.0), scored(-0.0), True),
    "a score of 0.0 for none": (set_to(score_kind=1), scored(0.0), False),
    "another number": (nothing, numbers("context", 1.0), False),
    "map entries in another order": (keys("context", NAMES), keys("context", reversed(NAMES)), True),
    "positions as listed for none": (nothing, placed(0, 1, 2), True),
    "no positions for those as listed": (placed(0, 1, 2), nothing, True),
    "other positions": (nothing, placed(0, 1, 3), False),
    "positions of a later page": (placed(0, 1, 2), placed(20, 21, 22), False),
    "no time for the client's": (at(-5), nothing, True),
    "a time for the server's": (nothing, at(-5), True),
    "another time of the client's": (at(-5), at(-6), False),
    "the same time of the client's": (at(-5), at(-5), True),
    "another kind": (nothing, lambda made: setattr(made.results[0], "kind", 1), False),
    "a client": (nothing, set_to(client=session_pb2.Client(name="shop")), False),
}


@pytest.mark.parametrize("clause", SESSIONS)
def test_r1_a_session_is_a_retry_if_its_content_is_the_same(clause: str) -> None:
    """R1: a retry may differ by what the rule allows, and by nothing more."""
    stored, retry, same = SESSIONS[clause]
    assert sessions_agree(stored, retry) is same
    assert sessions_agree(retry, stored) is same


EVENTS: dict[str, tuple[Change, Change, bool]] = {
    "equal": (nothing, nothing, True),
    "another object": (nothing, set_to(object_id="b"), False),
    "unknown fields in the retry": (nothing, unknown, True),
    "an empty meta for an absent one": (cleared("meta"), set_to(meta=EMPTY), True),
    "-0.0 for 0.0 in a meta": (nothing, numbers("meta", -0.0), True),
    "map entries in another order": (keys("meta", NAMES), keys("meta", reversed(NAMES)), True),
    "no time for the client's": (at(-5), nothing, True),
    "a time for the server's": (nothing, at(-5), True),
    "another time of the client's": (at(-5), at(-6), False),
}


@pytest.mark.parametrize("clause", EVENTS)
def test_r1_r2_an_event_is_a_duplicate_if_its_content_is_the_same(clause: str) -> None:
    """R1, R2: the clauses about fields that events have hold for events."""
    stored, retry, same = EVENTS[clause]
    assert events_agree(stored, retry) is same
    assert events_agree(retry, stored) is same


def test_r1_fields_of_a_newer_server_are_no_content_here() -> None:
    """R1: fields that only a newer server knows are in the store and are not compared."""
    assert sessions_agree(nothing, nothing, version=2, tail=UNKNOWN)
    assert not sessions_agree(nothing, set_to(query="blue shoes"), version=2, tail=UNKNOWN)


def kind_and_sort(made: session_pb2.Session) -> None:
    """Sets a field of the session and one of a result."""
    made.sort = "price"
    made.results[0].kind = session_pb2.RESULT_KIND_IMAGE


def test_r1_a_field_that_the_storing_version_did_not_know_is_no_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """R1: a field that the storing version did not know is compared only if the stored session has it."""
    monkeypatch.setattr(module, "LATER_FIELDS", {"Session": {"sort": 2}, "Result": {"kind": 2}})
    assert sessions_agree(nothing, kind_and_sort, version=1)
    assert not sessions_agree(nothing, kind_and_sort, version=2)
    assert not sessions_agree(nothing, set_to(sort="price", query="blue shoes"), version=1)
    assert sessions_agree(kind_and_sort, kind_and_sort, version=1)
    assert not sessions_agree(kind_and_sort, set_to(sort="name"), version=1)
    assert not sessions_agree(kind_and_sort, nothing, version=1)


def test_r1_an_erased_session_takes_every_retry() -> None:
    """R1: every retry of an erased session succeeds, so that a client that repeats it comes to an end."""
    erased = StoredSession("s-1", 1, 1, NOW, False, "", b"", erased=True)
    assert same_session(drafted(nothing), erased)
