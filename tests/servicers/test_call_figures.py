"""Every call is counted: answered, refused by the door, over its rate, taken back, and unknown."""

import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from support.builders import create_request
from support.memory_store import MemoryDao
from support.servers import Clock, InProcessServer, refused, wait_for
from support.token_files import entry, written

from clickstream.domain.call_figures import CallFigures
from clickstream.domain.call_limits import CallLimits
from clickstream.servicers.access.tokens import TokenFile
from clickstream.servicers.server import Listening
from clickstream.servicers.telemetry import Telemetry

PACKAGE = "embedding_studio.clickstream.v1"


def figures(telemetry: Telemetry, method: str) -> CallFigures:
    """The figures of one method."""
    return next(call for call in telemetry.calls if call.method == method)


def test_answered_calls_and_streams_are_counted_with_their_messages(memory_dao: MemoryDao, clock: Clock) -> None:
    """Count, code, messages and bytes of a unary call, a refused request and a stream."""
    telemetry = Telemetry(counts=True)
    with InProcessServer(memory_dao, clock, telemetry=telemetry) as server:
        request = create_request("s-1")
        answer = server.clickstream.CreateSession(request)
        refused(server.clickstream.CreateSession, pb.CreateSessionRequest())
        messages = [pb.IngestRequest(sequence=number, session=request.session) for number in (1, 2, 3)]
        assert len(list(server.clickstream.Ingest(iter(messages)))) == 3
        wait_for(lambda: figures(telemetry, "Ingest").codes)
    create, ingest = figures(telemetry, "CreateSession"), figures(telemetry, "Ingest")
    assert (create.started, create.codes) == (2, {"OK": 1, "INVALID_ARGUMENT": 1})
    assert (create.received, create.sent, sum(create.buckets)) == (2, 1, 2)
    assert (create.received_bytes, create.sent_bytes) == (request.ByteSize(), answer.ByteSize())
    assert (ingest.codes, ingest.received, ingest.sent) == ({"OK": 1}, 3, 3)
    assert ingest.received_bytes == sum(message.ByteSize() for message in messages)
    assert telemetry.refused == {"INVALID_FIELD": 1}


def test_refused_calls_are_counted(memory_dao: MemoryDao, clock: Clock, tmp_path: Path) -> None:
    """Without a token, over the rate, and to a method that does not exist; that one's name becomes no series."""
    tokens = TokenFile(written(tmp_path / "tokens.toml", [entry("shop", "secret", "client")]), clock)
    telemetry = Telemetry(counts=True)
    with InProcessServer(
        memory_dao,
        clock,
        listenings=[Listening("127.0.0.1:0", tokens=tokens)],
        call_limits=CallLimits(calls_per_second=1),
        telemetry=telemetry,
    ) as server:
        refused(server.clickstream.CreateSession, create_request("s-1"))
        path = f"/{PACKAGE}.ClickstreamService/Nonsense"
        assert refused(server.channel.unary_unary(path), b"").code() is grpc.StatusCode.UNIMPLEMENTED
        known = (("authorization", "Bearer secret"),)
        for number in range(30):
            refused(server.clickstream.GetSession, pb.GetSessionRequest(session_id=f"s-{number}"), metadata=known)
    assert figures(telemetry, "CreateSession").codes == {"UNAUTHENTICATED": 1}
    assert figures(telemetry, "unknown").codes == {"UNIMPLEMENTED": 1}
    codes = figures(telemetry, "GetSession").codes
    assert codes["RESOURCE_EXHAUSTED"] >= 10
    assert sum(codes.values()) == figures(telemetry, "GetSession").started == 30
    assert telemetry.refused["TOKEN_MISSING"] == 1
    assert telemetry.refused["CALL_RATE_EXCEEDED"] == codes["RESOURCE_EXHAUSTED"]


def test_a_call_whose_time_is_over_counts_as_such(memory_dao: MemoryDao, clock: Clock) -> None:
    """A stream that its deadline ends is DEADLINE_EXCEEDED, not CANCELLED."""
    telemetry = Telemetry(counts=True)
    with InProcessServer(memory_dao, clock, telemetry=telemetry) as server:
        refused(server.channel.unary_stream("/grpc.health.v1.Health/Watch"), b"", timeout=0.3)
        assert wait_for(lambda: figures(telemetry, "Watch").codes) == {"DEADLINE_EXCEEDED": 1}


def test_a_call_that_is_taken_back_before_its_request_arrives_is_counted(memory_dao: MemoryDao, clock: Clock) -> None:
    """A rapid reset: the call started, and ended as CANCELLED, though no servicer ever saw it."""
    telemetry = Telemetry(counts=True)
    ended = threading.Event()

    def nothing() -> Iterator[bytes]:
        ended.wait(20)
        yield from ()

    with InProcessServer(memory_dao, clock, telemetry=telemetry) as server:
        call = server.channel.stream_unary(f"/{PACKAGE}.ClickstreamService/GetSession").future(nothing())
        wait_for(lambda: figures(telemetry, "GetSession").started)
        call.cancel()
        ended.set()
        assert wait_for(lambda: figures(telemetry, "GetSession").codes) == {"CANCELLED": 1}
