"""PushEvents through a real channel: one outcome per event (R2, R4, R5)."""

from datetime import timedelta

import pytest
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1 import error_reason_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.builders import NOW, create_request, event, push_request, session_draft
from support.servers import Clock, InProcessServer, fields, reason, refused

Outcome = pb.EventOutcome
ACCEPTED, DUPLICATE, CONFLICT, REJECTED = (
    Outcome.CODE_ACCEPTED,
    Outcome.CODE_DUPLICATE,
    Outcome.CODE_CONFLICT,
    Outcome.CODE_REJECTED,
)


def send(server: InProcessServer, *events, session_id: str = "s-1", historical: bool = False) -> pb.PushEventsResponse:
    """Pushes events to a session."""
    request = push_request(session_id, *events)
    request.historical = historical
    return server.clickstream.PushEvents(request)


def codes(answer: pb.PushEventsResponse) -> list[int]:
    """What became of each event."""
    return [outcome.code for outcome in answer.outcomes]


def stored(server: InProcessServer, session_id: str = "s-1"):
    """The events that a session has."""
    return server.clickstream.GetSession(pb.GetSessionRequest(session_id=session_id)).stored_session.events


@pytest.fixture
def known(any_server: InProcessServer) -> InProcessServer:
    """A server over either store that knows session s-1."""
    any_server.clickstream.CreateSession(create_request("s-1"))
    return any_server


def test_r2_every_event_has_its_own_outcome(known: InProcessServer, clock: Clock) -> None:
    """R2: new, repeated, conflicting and malformed events of a call have their outcomes; only the new is stored."""
    assert codes(send(known, event("e-1"), event("e-2"))) == [ACCEPTED, ACCEPTED]
    clock.forward(10)
    answer = send(known, event("e-1"), event("e-2", "b"), event("e-3", type="not a type"), event("e-4"))
    assert codes(answer) == [DUPLICATE, CONFLICT, REJECTED, ACCEPTED]
    assert (answer.accepted_count, answer.duplicate_count, answer.conflict_count, answer.rejected_count) == (1, 1, 1, 1)
    assert answer.outcomes[2].field == "events[2].type"
    assert answer.outcomes[2].reason == error_reason_pb2.ERROR_REASON_INVALID_FIELD
    assert answer.outcomes[2].description
    assert [(each.event_id, each.object_id) for each in stored(known)] == [("e-1", "a"), ("e-2", "a"), ("e-4", "a")]


def test_r2_repetitions_within_one_call_count(known: InProcessServer) -> None:
    """R2: of events with one id in a call the first is accepted; its copies are duplicates, other content conflicts."""
    answer = send(known, event("e-1"), event("e-1"), event("e-1", "b"), event("e-2", "b"))
    assert codes(answer) == [ACCEPTED, DUPLICATE, CONFLICT, ACCEPTED]
    assert [each.object_id for each in stored(known)] == ["a", "b"]
    assert codes(send(known, event("e-1", "b"), event("e-1"))) == [CONFLICT, DUPLICATE]


def test_r2_a_bad_event_takes_no_id(known: InProcessServer) -> None:
    """R2: a malformed event does not take the id of a good event after it."""
    assert codes(send(known, event("e-1", type=""), event("e-1"))) == [REJECTED, ACCEPTED]


def test_r1_r2_a_retry_is_a_duplicate_for_ever(known: InProcessServer, clock: Clock) -> None:
    """R1, R2: a retry days later is a duplicate: the server's time is not content, a time that the client sent is."""
    sent = event("e-1")
    send(known, sent)
    clock.forward(10**6)
    assert codes(send(known, sent)) == [DUPLICATE]
    timed = event("e-1", created_at=stored(known)[0].created_at)
    assert codes(send(known, timed, historical=True)) == [DUPLICATE]


def test_r4_events_of_an_unknown_session_are_not_found(known: InProcessServer) -> None:
    """R4: events of an unknown session are not stored, also if the session comes right after."""
    error = refused(send, known, event("e-1"), session_id="s-2")
    assert (error.code(), reason(error)) == (StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")
    known.clickstream.CreateSession(create_request("s-2"))
    assert list(stored(known, "s-2")) == []


def test_r4_events_on_objects_never_shown_are_kept(known: InProcessServer) -> None:
    """R4: an event on an object that was never shown is accepted and can be read."""
    assert codes(send(known, event("e-1", "never shown"))) == [ACCEPTED]
    assert stored(known)[0].object_id == "never shown"


def test_r4_events_may_come_after_the_release(known: InProcessServer) -> None:
    """R4: a session takes events at any time, also after the release of its batch."""
    known.dao.batches.release("r-1", None, NOW)
    assert codes(send(known, event("e-1"))) == [ACCEPTED]


def test_r5_each_event_has_its_window(known: InProcessServer) -> None:
    """R5: an event outside the window is rejected by its index; an import lifts the window; absent means now."""
    old = Timestamp()
    old.FromDatetime(NOW - timedelta(hours=13))
    answer = send(known, event("e-1"), event("e-2", created_at=old))
    assert codes(answer) == [ACCEPTED, REJECTED]
    assert answer.outcomes[1].field == "events[1].created_at"
    assert answer.outcomes[1].reason == error_reason_pb2.ERROR_REASON_CREATED_AT_OUT_OF_WINDOW
    assert codes(send(known, event("e-2", created_at=old), historical=True)) == [ACCEPTED]
    assert [each.created_at.ToDatetime(tzinfo=NOW.tzinfo) for each in stored(known)] == [NOW, NOW - timedelta(hours=13)]


def test_r2_a_call_with_nothing_good_fails_as_a_whole(known: InProcessServer) -> None:
    """R2: a call is INVALID_ARGUMENT only if every event is malformed, and names each bad field."""
    error = refused(send, known, event("", type="click"), event("e-2", object_id=""))
    assert (error.code(), fields(error)) == (
        StatusCode.INVALID_ARGUMENT,
        ["events[0].event_id", "events[1].object_id"],
    )
    assert fields(refused(send, known)) == ["events"]
    assert fields(refused(send, known, event("e-1"), session_id="")) == ["session_id"]


some_events = st.lists(
    st.builds(
        event,
        st.sampled_from(["", "e-1", "e-2", "e-3"]),
        st.sampled_from(["", "a", "b"]),
        st.sampled_from(["click", "view", "no type"]),
    ),
    min_size=1,
    max_size=8,
)


@given(st.lists(some_events, min_size=1, max_size=4))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_r2_the_outcomes_add_up_and_match_the_store(server: InProcessServer, calls) -> None:
    """R2: for any calls there is one outcome per event, and exactly the accepted events are stored."""
    session_id = f"s-{sum(1 for _ in server.dao._state.places) + 1}"
    server.dao.sessions.append([session_draft(session_id)])
    accepted: dict[str, str] = {}
    for events in calls:
        if all("" in (each.event_id, each.object_id) or " " in each.type for each in events):
            assert reason(refused(send, server, *events, session_id=session_id)) == "INVALID_FIELD"
            continue
        answer = send(server, *events, session_id=session_id)
        counts = [answer.accepted_count, answer.duplicate_count, answer.conflict_count, answer.rejected_count]
        assert counts == [codes(answer).count(code) for code in (ACCEPTED, DUPLICATE, CONFLICT, REJECTED)]
        assert sum(counts) == len(answer.outcomes) == len(events)
        for sent, code in zip(events, codes(answer), strict=True):
            content = f"{sent.object_id} {sent.type}"
            if code == ACCEPTED:
                assert sent.event_id not in accepted
                accepted[sent.event_id] = content
            elif code != REJECTED:
                assert (accepted[sent.event_id] == content) == (code == DUPLICATE)
    assert {each.event_id: f"{each.object_id} {each.type}" for each in stored(server, session_id)} == accepted
