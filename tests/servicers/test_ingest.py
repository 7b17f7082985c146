"""Ingest through a real channel: one acknowledgement per message, in order, each durable."""

from datetime import timedelta

import pytest
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1 import error_reason_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from support.builders import NOW, event, session
from support.ingest_calls import METHOD, events_of, ingest, sessions_of, stored, until_it_breaks
from support.servers import PATIENCE, InProcessServer, fields

Outcome = pb.EventOutcome


def test_events_follow_their_session_in_one_stream(any_server: InProcessServer) -> None:
    """R4: events right after their session find it; acknowledgements come in order, with place and counts."""
    requests = []
    for number in range(1, 101):
        requests += sessions_of(f"s-{number}", start=2 * number)
        requests.append(events_of(2 * number + 1, f"s-{number}", "e-1", "e-2"))
    answers = ingest(any_server, *requests)
    assert [each.sequence for each in answers] == [each.sequence for each in requests]
    places = [each.session for each in answers[::2]]
    assert [(each.created, each.batch_id, each.session_number) for each in places] == [
        (True, "batch-1", number) for number in range(1, 101)
    ]
    assert all(each.events == pb.IngestedEvents(accepted_count=2) for each in answers[1::2])
    assert stored(any_server, "s-100") == ["e-1", "e-2"]


def test_r7_a_thousand_events_per_message(any_server: InProcessServer) -> None:
    """R7: messages of 1,000 events are acknowledged in a few bytes; only the message of 1,001 is refused."""
    full = [events_of(number, "s-1", *(f"{number}-{each}" for each in range(1000))) for number in range(2, 7)]
    beyond = events_of(7, "s-1", *(f"e-{each}" for each in range(1001)))
    answers = ingest(any_server, *sessions_of("s-1"), *full, beyond)
    assert [each.events.accepted_count for each in answers[1:6]] == [1000] * 5
    assert all(each.ByteSize() < 20 for each in answers[1:6])
    failure = answers[6].failure
    assert (failure.field, failure.reason) == ("events.events", error_reason_pb2.ERROR_REASON_LIMIT_EXCEEDED)
    assert len(any_server.dao.events.of_sessions(1, 1, 1).of[1].events) == 5000


def test_r2_outcomes_are_listed_unless_all_are_accepted(any_server: InProcessServer) -> None:
    """R2: the outcomes of duplicates, conflicts and rejections are listed in the events' order, and counted."""
    mixed = [event("e-1"), event("e-2", "b"), event("e-3", type="not a type"), event("e-4")]
    _, first, answer = ingest(
        any_server, *sessions_of("s-1"), events_of(2, "s-1", "e-1", "e-2"), events_of(3, "s-1", *mixed)
    )
    assert first.events == pb.IngestedEvents(accepted_count=2)
    found = answer.events
    assert [each.code for each in found.outcomes] == [
        Outcome.CODE_DUPLICATE,
        Outcome.CODE_CONFLICT,
        Outcome.CODE_REJECTED,
        Outcome.CODE_ACCEPTED,
    ]
    assert [found.accepted_count, found.duplicate_count, found.conflict_count, found.rejected_count] == [1, 1, 1, 1]
    assert found.outcomes[2].field == "events.events[2].type"


def test_r2_a_rejected_event_among_new_ones_is_listed(server: InProcessServer) -> None:
    """R2: if all other events are new, the acknowledgement still says which event was rejected and why."""
    _, answer = ingest(server, *sessions_of("s-1"), events_of(2, "s-1", "e-1", event("e-2", type=""), "e-3"))
    found = answer.events
    accepted, rejected = Outcome.CODE_ACCEPTED, Outcome.CODE_REJECTED
    assert [each.code for each in found.outcomes] == [accepted, rejected, accepted]
    assert found.outcomes[1].field == "events.events[1].type"
    assert (found.accepted_count, found.rejected_count) == (2, 1)


def test_r1_a_stream_sent_again_changes_nothing(any_server: InProcessServer) -> None:
    """R1: a repeated message is acknowledged with what is stored; only one with other content is CONTENT_CONFLICT."""
    requests = [*sessions_of("s-1"), events_of(2, "s-1", "e-1", "e-2")]
    ingest(any_server, *requests)
    other = pb.IngestRequest(sequence=3, session=session("s-1", query="blue shoes"))
    again, events, conflict = ingest(any_server, *requests, other)
    assert (again.session.created, again.session.session_number) == (False, 1)
    assert events.events.duplicate_count == 2
    assert conflict.failure.reason == error_reason_pb2.ERROR_REASON_CONTENT_CONFLICT
    assert conflict.failure.field == "session.session_id"


def test_a_refused_message_costs_no_other_anything(any_server: InProcessServer) -> None:
    """R2, R4, R5, R7: only the bad messages are refused, with reason and field, and the stream continues."""
    old = Timestamp()
    old.FromDatetime(NOW - timedelta(hours=13))
    bad = [
        (pb.IngestRequest(), "content", "INVALID_FIELD"),
        (pb.IngestRequest(session=session("")), "session.session_id", "INVALID_FIELD"),
        (pb.IngestRequest(session=session("q", query="q" * 4097)), "session.query", "LIMIT_EXCEEDED"),
        (pb.IngestRequest(session=session("o", created_at=old)), "session.created_at", "CREATED_AT_OUT_OF_WINDOW"),
        (events_of(0, "unknown", "e-1"), "events.session_id", "SESSION_NOT_FOUND"),
        (events_of(0, "", "e-1"), "events.session_id", "INVALID_FIELD"),
        (events_of(0, "s-1"), "events.events", "INVALID_FIELD"),
        (events_of(0, "s-1", event(type="")), "events.events[0].type", "INVALID_FIELD"),
        (events_of(0, "q", "e-1"), "events.session_id", "SESSION_NOT_FOUND"),
    ]
    requests = sessions_of("s-1")
    for request, _, _ in bad:
        request.sequence = requests[-1].sequence + 1
        requests += [request, events_of(request.sequence + 1, "s-1", f"good-{request.sequence}")]
    answers = ingest(any_server, *requests)
    assert [each.sequence for each in answers] == [each.sequence for each in requests]
    failures = [each.failure for each in answers[1::2]]
    assert [each.field for each in failures] == [field for _, field, _ in bad]
    assert [error_reason_pb2.ErrorReason.Name(each.reason) for each in failures] == [
        f"ERROR_REASON_{name}" for _, _, name in bad
    ]
    assert all(each.events.accepted_count == 1 for each in answers[2::2])
    assert len(stored(any_server, "s-1")) == len(bad)


def test_a_failure_names_at_most_twenty_fields(server: InProcessServer) -> None:
    """R7: a refusal names the first twenty bad fields of a message, and cuts their paths."""
    many = [event("x" * 300) for _ in range(30)]
    many[0].meta.fields["k" * 5000].SetInParent()
    [answer] = ingest(server, events_of(1, "s-1", *many))
    assert len(answer.failure.violations) == 20
    assert answer.failure.field == answer.failure.violations[0].field == "events.events[0].event_id"
    assert answer.ByteSize() < 10_000


def test_r5_history_lifts_the_window(server: InProcessServer) -> None:
    """R5: a message that is `historical` may have any time; the others may not."""
    old = Timestamp()
    old.FromDatetime(NOW - timedelta(days=900))
    kept = pb.IngestRequest(sequence=1, session=session("s-1", created_at=old), historical=True)
    late = event("e-1", created_at=old)
    answers = ingest(server, kept, events_of(2, "s-1", late, historical=True), events_of(3, "s-1", late))
    assert [each.WhichOneof("outcome") for each in answers] == ["session", "events", "failure"]


@pytest.mark.parametrize("sequences", [[0], [-1], [5, 5], [7, 6]])
def test_a_sequence_that_does_not_rise_ends_the_stream(server: InProcessServer, sequences: list[int]) -> None:
    """A wrong sequence ends the stream with its field named, after everything before it is acknowledged."""
    requests = [pb.IngestRequest(sequence=each, session=session(f"s-{at}")) for at, each in enumerate(sequences)]
    answers, error = until_it_breaks(server.clickstream.Ingest(iter(requests), timeout=PATIENCE))
    assert [each.sequence for each in answers] == sequences[:-1]
    assert (error.code(), fields(error)) == (StatusCode.INVALID_ARGUMENT, ["sequence"])


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"\xff\xff", StatusCode.INVALID_ARGUMENT),
        (b"\0" * (2**22 + 1), StatusCode.INVALID_ARGUMENT),
        (b"\0" * (2**23 + 1), StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_r7_a_message_that_cannot_be_read_ends_the_stream(
    server: InProcessServer, bad: bytes, code: StatusCode
) -> None:
    """R7: garbage, or a message above 4 MiB, ends the stream; everything before it is acknowledged."""
    good = sessions_of("s-1")[0].SerializeToString()
    call = server.channel.stream_stream(METHOD, None, pb.IngestResponse.FromString)
    answers, error = until_it_breaks(call(iter([good, bad, good]), timeout=PATIENCE))
    assert [each.session.created for each in answers] == [True]
    assert error.code() is code


def test_an_empty_stream_ends_well(server: InProcessServer) -> None:
    """A stream without messages ends without answers and without an error."""
    assert ingest(server) == []
