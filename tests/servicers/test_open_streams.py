"""Streams and the bounds of callers at a real server: shares, slow readers, drains (R20, R23)."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from embedding_studio.clickstream.v1 import batch_service_pb2, clickstream_service_pb2
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceStub
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from support.builders import create_request, session_drafts
from support.memory_store import MemoryDao
from support.servers import PATIENCE, InProcessServer, detail, reason, refused, wait_for

from clickstream.domain import call_limits
from clickstream.domain.call_limits import CallLimits
from clickstream.servicers import boundary, open_streams

ABSENT = clickstream_service_pb2.GetSessionRequest(session_id="absent")
WHOLE = batch_service_pb2.StreamBatchSessionsRequest(batch_id="batch-1")
QUESTION = reflection_pb2.ServerReflectionRequest
REFLECTION_V1 = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


def now() -> datetime:
    """The present time."""
    return datetime.now(UTC)


@pytest.fixture
def limited() -> Iterator[InProcessServer]:
    """A server with small limits."""
    small = CallLimits(calls_per_second=2, bytes_per_second=2e6, streams=2, unread_bytes=3_000_000)
    with InProcessServer(MemoryDao(), now, call_limits=small) as server:
        yield server


def test_r23_calls_beyond_the_share_are_refused_with_the_time_to_wait(limited: InProcessServer) -> None:
    """R23: the answer is RESOURCE_EXHAUSTED with RetryInfo and QuotaFailure; health is asked within the same share."""
    errors = [refused(limited.clickstream.GetSession, ABSENT) for _ in range(20)]
    assert [reason(error) for error in errors[:5]] == ["SESSION_NOT_FOUND"] * 5
    last = errors[-1]
    assert (last.code(), reason(last)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "CALL_RATE_EXCEEDED")
    assert detail(last, error_details_pb2.RetryInfo).retry_delay.ToTimedelta().total_seconds() > 0
    assert detail(last, error_details_pb2.QuotaFailure).violations[0].subject == "ipv4:127.0.0.1"


def test_r23_streams_beyond_the_share_are_refused_and_come_back(limited: InProcessServer) -> None:
    """R23: a caller with as many open streams as it may have gets no further one until it ends one."""
    watch = health_pb2_grpc.HealthStub(limited.channel).Watch
    open_ones = [watch(health_pb2.HealthCheckRequest()) for _ in range(2)]
    assert [next(each).status for each in open_ones] == [health_pb2.HealthCheckResponse.SERVING] * 2
    assert reason(refused(lambda: watch(health_pb2.HealthCheckRequest()))) == "STREAMS_EXCEEDED"
    open_ones[0].cancel()
    wait_for(lambda: not reason_of_first(watch(health_pb2.HealthCheckRequest())))


def reason_of_first(stream: Any) -> str:
    """The reason with which a stream is refused; "" if it answers."""
    try:
        next(stream)
    except grpc.RpcError as error:
        return reason(error)
    stream.cancel()
    return ""


def test_r23_calls_in_hand_are_bounded() -> None:
    """R23: beyond the bound of all callers a call is SERVER_BUSY, and the next one is served again."""
    with InProcessServer(MemoryDao(), now, call_limits=CallLimits(calls_in_hand=1)) as server:
        watch = health_pb2_grpc.HealthStub(server.channel).Watch(health_pb2.HealthCheckRequest())
        next(watch)
        assert reason(refused(server.clickstream.GetSession, ABSENT)) == "SERVER_BUSY"
        watch.cancel()
        wait_for(lambda: reason(refused(server.clickstream.GetSession, ABSENT)) == "SESSION_NOT_FOUND")


def test_r23_a_stream_faster_than_its_share_is_slowed_down(limited: InProcessServer) -> None:
    """R23: no message is lost or refused; 14 MB at 2 MB/s with a burst of 10 MB take about two seconds."""
    big = clickstream_service_pb2.IngestRequest(events=clickstream_service_pb2.EventList(session_id="x" * 2_000_000))

    def messages() -> Iterator[clickstream_service_pb2.IngestRequest]:
        for sequence in range(1, 8):
            big.sequence = sequence
            yield big

    began = time.monotonic()
    answers = list(limited.clickstream.Ingest(messages(), timeout=PATIENCE))
    assert [answer.sequence for answer in answers] == list(range(1, 8))
    assert time.monotonic() - began > 1.0


def big_batch(server: InProcessServer) -> None:
    """Stores a batch of 40 sessions of 500 kB."""
    text = b"\x12\x80\x80\x20" + b"q" * 524_288  # the field `query`, of 512 KiB
    server.dao.sessions.append([replace(draft, payload=draft.payload + text) for draft in session_drafts(40)])


def test_r23_a_reader_that_takes_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """R23: its stream ends after the stated time, and what it has not read is given back."""
    monkeypatch.setattr(boundary, "READER_SECONDS", 0.2)
    monkeypatch.setattr(boundary, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(boundary, "WRITE_SECONDS", 0.2)
    with InProcessServer(MemoryDao(), now) as server:
        big_batch(server)
        shares = server._server._boundary.shares
        stream = server.batch.StreamBatchSessions(WHOLE)
        assert next(stream).HasField("stored_session")
        share = shares.of("ipv4:127.0.0.1")
        wait_for(lambda: share.unread_bytes > 0)
        wait_for(lambda: share.unread_bytes == 0 and share.streams == 0)
        error = refused(lambda: list(stream))
        assert error.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED)


def test_r23_unread_responses_of_a_caller_are_bounded(
    limited: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R23: two streams that nobody reads hold no more than the bound; read, both give every session."""
    monkeypatch.setattr(open_streams, "ROOM_SECONDS", 0.01)
    big_batch(limited)
    streams = [limited.batch.StreamBatchSessions(WHOLE) for _ in range(2)]
    share = limited._server._boundary.shares.of("ipv4:127.0.0.1")
    highest = 0
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        highest = max(highest, share.unread_bytes)
        time.sleep(0.01)
    assert 0 < highest <= 3_000_000
    counts: list[int] = []

    def read(stream: Any) -> None:
        counts.append(len(list(stream)))

    readers = [threading.Thread(target=read, args=(stream,)) for stream in streams]
    [reader.start() for reader in readers]
    [reader.join(PATIENCE) for reader in readers]
    assert counts == [40, 40]


def test_r20_a_drain_ends_within_seconds_whatever_streams_are_open(server: InProcessServer) -> None:
    """R20: watchers of health, users of reflection and readers that take nothing do not keep a server alive."""
    big_batch(server)
    options = [("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0)]
    with grpc.insecure_channel(server.address, options) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        next(watch)
        asked = threading.Event()

        def questions() -> Iterator[reflection_pb2.ServerReflectionRequest]:
            yield QUESTION(list_services="")
            asked.wait(PATIENCE)

        asked_v1 = channel.stream_stream(REFLECTION_V1, QUESTION.SerializeToString, None)(questions())
        described = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(questions())
        next(described)
        next(asked_v1)
        unread = BatchServiceStub(channel).StreamBatchSessions(WHOLE)
        next(unread)
        began = time.monotonic()
        server.drain(grace=PATIENCE).result(PATIENCE)
        assert time.monotonic() - began < 3.0
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        for stream in (watch, described, asked_v1):
            error = refused(lambda stream=stream: list(stream))
            assert (error.code(), reason(error)) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        asked.set()


def test_bytes_that_are_no_message_are_refused_by_health_and_reflection(server: InProcessServer) -> None:
    """Health and reflection stand behind the same boundary as every other service: INVALID_ARGUMENT, not UNKNOWN."""
    check = server.channel.unary_unary("/grpc.health.v1.Health/Check", None, None)
    watch = server.channel.unary_stream("/grpc.health.v1.Health/Watch", None, None)
    describe = server.channel.stream_stream(REFLECTION_V1, None, None)
    older = server.channel.stream_stream(REFLECTION_V1.replace(".v1.", ".v1alpha."), None, None)
    for call in (
        lambda: check(b"\xff"),
        lambda: watch(b"\xff"),
        lambda: describe(iter([b"\xff"])),
        lambda: older(iter([b"\xff"])),
    ):
        error = refused(call)
        assert (error.code(), reason(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")


def test_compressed_requests_are_refused(server: InProcessServer) -> None:
    """A compressed request is UNIMPLEMENTED before it is unpacked; the connection goes on."""
    with grpc.insecure_channel(server.address) as channel:
        create = channel.unary_unary("/embedding_studio.clickstream.v1.ClickstreamService/CreateSession")
        bomb = b"\x0a" + b"\x00" * 1_000_000
        error = refused(create, bomb, compression=grpc.Compression.Gzip, timeout=PATIENCE)
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
        assert create(create_request("s-1").SerializeToString(), timeout=PATIENCE)


def test_r23_requests_that_queue_are_served_like_others(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R23: beyond the number that is received at once, requests wait their turn, and none is lost or refused."""
    monkeypatch.setattr(call_limits, "AT_ONCE", 0)
    made = [server.clickstream.CreateSession.future(create_request(f"s-{number}")) for number in range(100)]
    assert [each.result(PATIENCE).created for each in made] == [True] * 100
    assert reason(refused(server.clickstream.GetSession, ABSENT)) == "SESSION_NOT_FOUND"
    error = refused(server.clickstream.GetSession, clickstream_service_pb2.GetSessionRequest())
    assert (error.code(), reason(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")


def test_r23_a_request_that_never_arrives_ends(server: InProcessServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """R23: a queued call whose body does not come is ended, and makes room for others."""
    monkeypatch.setattr(call_limits, "AT_ONCE", 0)
    monkeypatch.setattr(boundary, "RECEIVE_SECONDS", 0.2)
    held = threading.Event()

    def nothing() -> Iterator[bytes]:
        held.wait(PATIENCE)
        yield b""

    path = "/embedding_studio.clickstream.v1.ClickstreamService/CreateSession"
    calls = [server.channel.stream_unary(path).future(nothing(), timeout=PATIENCE) for _ in range(4)]
    assert server.clickstream.CreateSession(create_request("s-1"), timeout=PATIENCE).created
    assert {call.exception(PATIENCE).code() for call in calls} == {grpc.StatusCode.INVALID_ARGUMENT}
    held.set()


def test_r23_slow_reads_of_one_caller_hold_up_no_other_read(server: InProcessServer) -> None:
    """R23: while many GetSessions wait for the store, a short read and a write are answered."""
    server.clickstream.CreateSession(create_request("s-1"))
    go_on = threading.Event()
    original = server.dao.sessions.get

    def slow(session_id: str) -> Any:
        assert go_on.wait(PATIENCE)
        return original(session_id)

    server.dao.sessions.get = slow  # type: ignore[method-assign]
    get = server.clickstream.GetSession
    waiting = [get.future(clickstream_service_pb2.GetSessionRequest(session_id="s-1")) for _ in range(50)]
    listed = server.batch.ListBatches(batch_service_pb2.ListBatchesRequest(), timeout=PATIENCE)
    assert len(listed.batches) == 1
    assert server.clickstream.CreateSession(create_request("s-2"), timeout=PATIENCE).created
    go_on.set()
    assert [call.result(PATIENCE).stored_session.session.session_id for call in waiting] == ["s-1"] * 50
