"""The stated limits, at and beyond each (R7)."""

from collections.abc import Callable

import pytest
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1 import session_pb2
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.rpc import error_details_pb2
from grpc import StatusCode
from grpc_status import rpc_status
from support.builders import create_request, event, nested, push_request, session
from support.servers import InProcessServer, detail, fields, reason, refused

from clickstream.domain import limits

Change = Callable[[session_pb2.Session], None]
KIB = 1024


def fill(made: Message, data: Struct, size: int) -> None:
    """Sets a text in `data`, a part of `made`, so that `made` has exactly this many bytes."""
    data["k"] = ""
    while missing := size - made.ByteSize():  # lengths take more bytes in larger messages
        data["k"] = "x" * (len(data["k"]) + missing)


def sized(size: int) -> Struct:
    """Free data of exactly this many bytes."""
    made = Struct()
    fill(made, made, size)
    return made


def grown(size: int) -> session_pb2.Session:
    """A session of exactly this many bytes: many results with free data each."""
    made = session("s-1", objects=[])
    while made.ByteSize() < size - 15 * KIB:
        made.results.add(object_id=f"o-{len(made.results)}", meta=sized(10 * KIB))
    fill(made, made.results.add(object_id="last").meta, size)
    return made


def session_with(change: Change) -> pb.CreateSessionRequest:
    """A request whose session was changed."""
    made = create_request("s-1")
    change(made.session)
    return made


def results(count: int) -> Change:
    """Sets `count` results."""

    def change(made: session_pb2.Session) -> None:
        del made.results[:]
        for number in range(count):
            made.results.add(object_id=f"o-{number}")

    return change


def meta(made: session_pb2.Session, value: Struct) -> None:
    """Sets the second result's meta."""
    made.results[1].meta.CopyFrom(value)


# What is at the limit, what is beyond it, and the field that is then named.
SESSION_LIMITS: dict[str, tuple[Change, Change, str]] = {
    "id": (
        lambda s: setattr(s, "session_id", "é" * 256),
        lambda s: setattr(s, "session_id", "é" * 257),
        "session.session_id",
    ),
    "user": (lambda s: setattr(s, "user_id", "u" * 256), lambda s: setattr(s, "user_id", "u" * 257), "session.user_id"),
    "query": (
        lambda s: setattr(s, "query", "🙂" * 4096),
        lambda s: setattr(s, "query", "🙂" * 4097),
        "session.query",
    ),
    "object": (
        lambda s: setattr(s.results[1], "object_id", "o" * 256),
        lambda s: setattr(s.results[1], "object_id", "o" * 257),
        "session.results[1].object_id",
    ),
    "results": (results(1000), results(1001), "session.results"),
    "sort": (lambda s: setattr(s, "sort", "é" * 256), lambda s: setattr(s, "sort", "é" * 257), "session.sort"),
    "user agent": (
        lambda s: setattr(s, "user_agent", "é" * 512),
        lambda s: setattr(s, "user_agent", "é" * 513),
        "session.user_agent",
    ),
    "page offset": (
        lambda s: setattr(s.page, "offset", 1_000_000),
        lambda s: setattr(s.page, "offset", 1_000_001),
        "session.page.offset",
    ),
    "page size": (
        lambda s: setattr(s.page, "size", 1_000),
        lambda s: setattr(s.page, "size", 1_001),
        "session.page.size",
    ),
    "client name": (
        lambda s: setattr(s.client, "name", "é" * 128),
        lambda s: setattr(s.client, "name", "é" * 129),
        "session.client.name",
    ),
    "client version": (
        lambda s: setattr(s.client, "version", "é" * 64),
        lambda s: setattr(s.client, "version", "é" * 65),
        "session.client.version",
    ),
    "filter bytes": (
        lambda s: s.filter.CopyFrom(sized(16 * KIB)),
        lambda s: s.filter.CopyFrom(sized(16 * KIB + 1)),
        "session.filter",
    ),
    "filter depth": (
        lambda s: s.filter.CopyFrom(nested(16)),
        lambda s: s.filter.CopyFrom(nested(17)),
        "session.filter" + ".k" * 16,
    ),
    "context bytes": (
        lambda s: s.context.CopyFrom(sized(16 * KIB)),
        lambda s: s.context.CopyFrom(sized(16 * KIB + 1)),
        "session.context",
    ),
    "context depth": (
        lambda s: s.context.CopyFrom(nested(16)),
        lambda s: s.context.CopyFrom(nested(17)),
        "session.context" + ".k" * 16,
    ),
    "meta bytes": (
        lambda s: meta(s, sized(16 * KIB)),
        lambda s: meta(s, sized(16 * KIB + 1)),
        "session.results[1].meta",
    ),
    "meta depth": (
        lambda s: meta(s, nested(16)),
        lambda s: meta(s, nested(17)),
        "session.results[1].meta" + ".k" * 16,
    ),
    "session bytes": (lambda s: s.CopyFrom(grown(2**20)), lambda s: s.CopyFrom(grown(2**20 + 1)), "session"),
}


@pytest.mark.parametrize("limit", SESSION_LIMITS)
def test_r7_a_session_at_its_limit_is_kept_and_beyond_it_refused(server: InProcessServer, limit: str) -> None:
    """R7: at each limit a session is stored and read back; one more is LIMIT_EXCEEDED naming the field."""
    at_limit, beyond, field = SESSION_LIMITS[limit]
    error = refused(server.clickstream.CreateSession, session_with(beyond))
    assert (error.code(), reason(error)) == (StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED")
    assert fields(error) == [field]
    sent = session_with(at_limit)
    assert server.clickstream.CreateSession(sent).created
    read = server.clickstream.GetSession(pb.GetSessionRequest(session_id=sent.session.session_id))
    kept = read.stored_session.session
    kept.ClearField("created_at")
    assert kept == sent.session


EVENT_LIMITS = {
    "id": (event("e" * 256), event("e" * 257), "events[0].event_id"),
    "object": (event(object_id="o" * 256), event(object_id="o" * 257), "events[0].object_id"),
    "type": (event(type="t" * 64), event(type="t" * 65), "events[0].type"),
    "meta bytes": (event(meta=sized(16 * KIB)), event(meta=sized(16 * KIB + 1)), "events[0].meta"),
    "meta depth": (event(meta=nested(16)), event(meta=nested(17)), "events[0].meta" + ".k" * 16),
}


@pytest.mark.parametrize("limit", EVENT_LIMITS)
def test_r7_an_event_at_its_limit_is_kept_and_beyond_it_refused(server: InProcessServer, limit: str) -> None:
    """R7: at each limit an event is stored; one more is LIMIT_EXCEEDED naming the field and its index."""
    at_limit, beyond, field = EVENT_LIMITS[limit]
    server.clickstream.CreateSession(create_request("s-1"))
    error = refused(server.clickstream.PushEvents, push_request("s-1", beyond))
    assert (error.code(), reason(error), fields(error)) == (StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED", [field])
    assert server.clickstream.PushEvents(push_request("s-1", at_limit)).accepted_count == 1


@pytest.mark.parametrize(("field", "value"), [("name", "shop\n"), ("version", "1\x00")])
def test_r7_a_client_has_no_control_character(server: InProcessServer, field: str, value: str) -> None:
    """R7: a control character in the client's name or version is refused by name."""
    request = create_request("s-1", client=session_pb2.Client(**{field: value}))
    error = refused(server.clickstream.CreateSession, request)
    assert (reason(error), fields(error)) == ("INVALID_FIELD", [f"session.client.{field}"])


def test_r7_an_unknown_kind_of_result_is_refused(server: InProcessServer) -> None:
    """R7: a result of an unknown kind is refused by name."""
    request = create_request("s-1")
    request.session.results[1].kind = 3
    error = refused(server.clickstream.CreateSession, request)
    assert (reason(error), fields(error)) == ("INVALID_FIELD", ["session.results[1].kind"])


def test_r7_a_thousand_events_per_call(server: InProcessServer) -> None:
    """R7: a call of 1,000 events is stored; of 1,001 events nothing is stored."""
    server.clickstream.CreateSession(create_request("s-1"))
    many = [event(f"e-{number}") for number in range(1001)]
    error = refused(server.clickstream.PushEvents, push_request("s-1", *many))
    assert (reason(error), fields(error)) == ("LIMIT_EXCEEDED", ["events"])
    assert server.clickstream.PushEvents(push_request("s-1", *many[:1000])).accepted_count == 1000


def test_r7_an_oversized_request_says_the_limit(server: InProcessServer) -> None:
    """R7: a request beyond 4 MiB is INVALID_ARGUMENT with the limit; gRPC refuses one far beyond without details."""
    request = push_request("s-1", *[event(f"e-{number}", meta=sized(16_000)) for number in range(300)])
    error = refused(server.clickstream.PushEvents, request)
    assert (error.code(), reason(error)) == (StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED")
    [violation] = detail(error, error_details_pb2.BadRequest).field_violations
    assert str(limits.REQUEST_BYTES) in violation.description
    error = refused(server.call, "ClickstreamService/PushEvents", b"\0" * (20 * 2**20))
    assert error.code() is StatusCode.RESOURCE_EXHAUSTED
    assert server.clickstream.CreateSession(create_request("s-1")).created


@pytest.mark.parametrize("letter", ["x", "é", "🙂", "%"])
def test_r7_errors_fit_the_trailers_whatever_was_sent(server: InProcessServer, letter: str) -> None:
    """R7: even with twenty bad fields of huge names the status and its first violations reach the client."""
    request = create_request("s-1", objects=[f"o-{number}" for number in range(30)])
    for result in request.session.results:
        result.meta.fields[letter * 3_000].SetInParent()
    error = refused(server.clickstream.CreateSession, request)
    assert (error.code(), reason(error)) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert len(fields(error)) >= 5
    assert fields(error)[0].startswith("session.results[0].meta." + letter * 10)
    trailers = sum(len(key) + len(value) + 32 for key, value in error.trailing_metadata())
    percent_encoded = 3 * len(rpc_status.from_call(error).message.encode())
    assert trailers * 4 / 3 + percent_encoded < 8 * KIB


def test_r7_rejected_events_answer_in_little(server: InProcessServer) -> None:
    """R7: an answer stays far below gRPC's 4 MiB, however long the paths of the bad fields are."""
    server.clickstream.CreateSession(create_request("s-1"))
    bad = []
    for number in range(250):
        bad.append(event(f"e-{number}"))
        bad[-1].meta.fields["🙂" * 3_900].SetInParent()
    answer = server.clickstream.PushEvents(push_request("s-1", event("good"), *bad))
    assert (answer.accepted_count, answer.rejected_count) == (1, 250)
    assert answer.ByteSize() < 128 * KIB


def test_r7_a_full_write_queue_says_when_to_retry(memory_dao, clock) -> None:
    """R7: a write that does not fit the write queue is RESOURCE_EXHAUSTED with QuotaFailure and RetryInfo."""
    with InProcessServer(memory_dao, clock, queue_bytes=100) as server:
        error = refused(server.clickstream.CreateSession, create_request("s-1"))
    assert (error.code(), reason(error)) == (StatusCode.RESOURCE_EXHAUSTED, "WRITE_QUEUE_FULL")
    assert detail(error, error_details_pb2.QuotaFailure).violations
    assert detail(error, error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() > 0
