import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as service
from google.rpc import code_pb2
from support.builders import event, new_id, session
from support.scripted import InMemoryService, first, refuse, serving
from support.servers import InProcessServer, ServeProcess, wait_for

from clickstream.client import ClickstreamClient, Failure, QueueFullError, QueueSettings, background
from clickstream.dao.embedded_mongod import EmbeddedMongo

Make = Callable[..., ClickstreamClient]
PATIENCE = 30
EVENTS = 20


def is_balanced(client: ClickstreamClient) -> bool:
    """Whether the counters add up to the number of queued items."""
    stats = client.stats
    ended = stats.accepted + stats.duplicate + sum(stats.failed.values()) + stats.dropped
    return stats.queued == ended + stats.waiting


def queue_session(client: ClickstreamClient, session_id: str = "s-1") -> None:
    """Queues a session and its events."""
    client.register(session(session_id))
    for number in range(EVENTS):
        client.push(session_id, event(f"e-{number}"))


def push_until_full(client: ClickstreamClient) -> int:
    """Pushes events of one session until the queue is full; returns their number."""
    for number in range(1_000):
        try:
            client.push("s-1", event(f"e-{number}"))
        except QueueFullError:
            return number
    raise AssertionError("the queue has no limit")


def closed_port() -> int:
    """A port on which no process listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("code", "reason"), [(code_pb2.UNAVAILABLE, "STORE_UNAVAILABLE"), (code_pb2.RESOURCE_EXHAUSTED, "WRITE_QUEUE_FULL")]
)
def test_r1_an_error_that_may_pass_is_retried(
    code: int, reason: str, scripted: InMemoryService, scripted_address: str, make_client: Make
) -> None:
    """R1: a session that met such an error is sent again, its events wait for it, and each is stored once."""
    scripted.faults.append(first(3, code, reason))
    client = make_client(scripted_address)
    queue_session(client)
    assert client.flush(PATIENCE)
    assert [type(request) for request in scripted.requests] == [
        *[service.CreateSessionRequest] * 4,
        service.PushEventsRequest,
    ]
    assert len(scripted.events) == EVENTS
    assert client.stats.accepted == EVENTS + 1
    assert client.stats.retries == 3
    assert is_balanced(client)


def test_r1_a_lost_answer_stores_nothing_twice(
    scripted: InMemoryService, make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R1: a repeated call has the same ids and times, so the server finds the same content and stores nothing."""
    store = scripted.PushEvents
    answers = iter(range(2))

    def losing_answers(request: service.PushEventsRequest, context: grpc.ServicerContext) -> object:
        answer = store(request, context)
        if next(answers, None) is not None:
            refuse(context, code_pb2.UNAVAILABLE, "ERROR_REASON_STORE_UNAVAILABLE")
        return answer

    monkeypatch.setattr(scripted, "PushEvents", losing_answers)
    with serving(scripted) as address:
        client = make_client(address)
        client.register(session())
        for _ in range(EVENTS):
            client.push("s-1", event(event_id=""))
        assert client.flush(PATIENCE)
        client.close()
    assert len(scripted.events) == EVENTS
    assert (client.stats.accepted, client.stats.duplicate, client.stats.retries) == (1, EVENTS, 2)


def test_r1_an_answer_that_comes_after_the_deadline_loses_nothing(
    scripted: InMemoryService, scripted_address: str, make_client: Make
) -> None:
    """R1: a call whose answer is slower than its deadline is sent again, until an answer comes in time."""
    answer = threading.Event()
    scripted.faults.append(lambda *_: answer.wait(PATIENCE))
    client = make_client(scripted_address, queue=QueueSettings(timeout=1.0))
    queue_session(client)
    wait_for(lambda: client.stats.retries)
    answer.set()
    assert client.flush(PATIENCE)
    assert client.stats.failed == {}
    assert len(scripted.events) == EVENTS
    assert client.stats.accepted + client.stats.duplicate == EVENTS + 1
    assert is_balanced(client)


def test_an_event_without_a_time_gets_the_time_of_its_push(
    scripted: InMemoryService, scripted_address: str, make_client: Make
) -> None:
    """`created_at` is filled in when an event is queued, and not when it is sent."""
    client = make_client(scripted_address, queue=QueueSettings(linger=1_000))
    client.register(session())
    before = datetime.now(UTC)
    client.push("s-1", event("e-1"))
    after = datetime.now(UTC)
    assert client.flush(PATIENCE)
    sent = scripted.pushes[0].events[0].created_at.ToDatetime(UTC)
    assert before <= sent <= after


def test_many_threads_share_a_client(server: InProcessServer, make_client: Make) -> None:
    """When threads push at the same time, every item is stored, and the counters add up at every moment."""
    client = make_client(server.address, queue=QueueSettings(linger=0.001, batch_events=50))
    threads = [threading.Thread(target=queue_session, args=(client, f"s-{number}")) for number in range(50)]
    for thread in threads:
        thread.start()
        assert is_balanced(client)
    for thread in threads:
        thread.join(PATIENCE)
    assert client.flush(PATIENCE)
    assert is_balanced(client)
    assert client.stats.accepted == 50 * (EVENTS + 1)
    assert client.stats.failed == {}


def test_a_refused_item_fails_alone(server: InProcessServer, make_client: Make) -> None:
    """A bad event, an unknown session and a taken id are counted, reported and not retried; the rest is stored."""
    failures: list[Failure] = []
    client = make_client(server.address, on_failure=failures.append)
    client.create_session(session("taken"))
    client.register(session("taken", query="something else"))
    client.push("unknown", event("lost"))
    queue_session(client)
    client.push("s-1", event("bad", type="not a type"))
    assert client.flush(PATIENCE)
    client.push("s-1", event("e-0", object_id="b"))
    assert client.flush(PATIENCE)
    assert client.stats.failed == {"CONTENT_CONFLICT": 2, "SESSION_NOT_FOUND": 1, "INVALID_FIELD": 1}
    assert client.stats.accepted == EVENTS + 1
    assert client.stats.retries == 0
    assert is_balanced(client)
    assert len(client.get_session("s-1").events) == EVENTS
    reported = {(failure.session_id, failure.reason) for failure in failures}
    assert reported == {
        ("taken", "CONTENT_CONFLICT"),
        ("unknown", "SESSION_NOT_FOUND"),
        ("s-1", "INVALID_FIELD"),
        ("s-1", "CONTENT_CONFLICT"),
    }
    assert all(failure.description for failure in failures)


def test_r7_a_message_that_is_too_large_is_not_retried(scripted_address: str, make_client: Make) -> None:
    """R7: RESOURCE_EXHAUSTED for a size fails the item at once, and the items around it are stored."""
    client = make_client(scripted_address)
    queue_session(client)
    client.push("s-1", event("huge", object_id="x" * 5_000_000))
    assert client.flush(PATIENCE)
    assert client.stats.failed == {"RESOURCE_EXHAUSTED": 1}
    assert client.stats.accepted == EVENTS + 1


def test_a_failing_callback_stops_nothing(server: InProcessServer, make_client: Make) -> None:
    """An exception of `on_failure` is logged, and later items are sent."""

    def fail(_: Failure) -> None:
        raise RuntimeError("a defect of the caller")

    client = make_client(server.address, on_failure=fail, queue=QueueSettings(in_flight=1))
    client.push("unknown", event())
    assert client.flush(PATIENCE)
    queue_session(client)
    assert client.flush(PATIENCE)
    assert client.stats.accepted == EVENTS + 1


def test_events_before_their_session_stop_nothing(server: InProcessServer, make_client: Make) -> None:
    """An event that was queued before its session fails alone; the session and later items are stored."""
    client = make_client(server.address, queue=QueueSettings(in_flight=1))
    client.push("s-1", event("early"))
    client.register(session())
    assert client.flush(PATIENCE)
    client.push("s-1", event("late"))
    assert client.flush(PATIENCE)
    assert client.stats.failed == {"SESSION_NOT_FOUND": 1}
    assert client.stats.accepted == 2


def test_a_defect_fails_its_own_call_only(
    scripted: InMemoryService, scripted_address: str, make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected exception in a sending thread fails the items of its call, and the thread continues."""

    def broken(*_: object) -> float:
        raise ZeroDivisionError("a defect of the client")

    monkeypatch.setattr(background, "pause_before_retry", broken)
    scripted.faults.append(first(1))
    client = make_client(scripted_address, queue=QueueSettings(in_flight=1))
    client.register(session("s-1"))
    assert client.flush(PATIENCE)
    client.register(session("s-2"))
    assert client.flush(PATIENCE)
    assert client.stats.failed == {"ZeroDivisionError": 1}
    assert client.stats.accepted == 1


def test_an_unusable_answer_stops_nothing(scripted: InMemoryService, scripted_address: str, make_client: Make) -> None:
    """Outcomes that do not fit the events, and reasons of a newer contract, become failures with a reason."""
    client = make_client(scripted_address, queue=QueueSettings(in_flight=1))
    client.register(session())
    scripted.outcomes = [service.EventOutcome(), service.EventOutcome()]
    client.push("s-1", event("e-1"))
    assert client.flush(PATIENCE)
    scripted.outcomes = [service.EventOutcome(code=service.EventOutcome.CODE_REJECTED, reason=999)]
    client.push("s-1", event("e-2"))
    assert client.flush(PATIENCE)
    assert client.stats.failed == {"ValueError": 1, "999": 1}
    assert is_balanced(client)


def test_an_error_with_broken_details_stops_nothing(
    scripted: InMemoryService, scripted_address: str, make_client: Make
) -> None:
    """A status whose details a proxy has broken is judged by its code, and later items are sent."""

    def fault(request: object, context: grpc.ServicerContext) -> None:
        if isinstance(request, service.PushEventsRequest) and request.events[0].event_id == "e-1":
            context.set_trailing_metadata([("grpc-status-details-bin", b"no protobuf")])
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "behind a proxy")

    scripted.faults.append(fault)
    client = make_client(scripted_address, queue=QueueSettings(in_flight=1))
    client.register(session())
    client.push("s-1", event("e-1"))
    assert client.flush(PATIENCE)
    client.push("s-1", event("e-2"))
    assert client.flush(PATIENCE)
    assert client.stats.failed == {"INVALID_ARGUMENT": 1}
    assert client.stats.accepted == 2


def test_a_server_that_is_away_delays_no_caller(scripted: InMemoryService, make_client: Make) -> None:
    """While the server is away, `push` returns at once until the queue is full; later every queued item is stored."""
    port = closed_port()
    client = make_client(f"127.0.0.1:{port}", queue=QueueSettings(max_bytes=100_000))
    client.register(session())
    queued = push_until_full(client)
    assert client.stats.waiting == queued + 1
    assert client.stats.waiting_bytes <= 100_000
    wait_for(lambda: client.stats.retries > 1)
    with serving(scripted, port):
        assert client.flush(PATIENCE)
    assert len(scripted.events) == queued
    assert client.stats.accepted == queued + 1


def test_items_left_at_the_close_are_reported(make_client: Make) -> None:
    """Each item that still waits when the client closes fails as CLIENT_CLOSED."""
    failures: list[Failure] = []
    client = make_client(f"127.0.0.1:{closed_port()}", on_failure=failures.append)
    queue_session(client)
    wait_for(lambda: client.stats.sent)
    client.close(timeout=0)
    assert client.stats.failed == {"CLIENT_CLOSED": EVENTS + 1}
    assert len(failures) == EVENTS + 1
    assert is_balanced(client)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("clickstream-client")]
    with pytest.raises(RuntimeError):
        client.push("s-1", event())


def test_r3_a_killed_server_loses_and_doubles_nothing(mongod: EmbeddedMongo, tmp_path: Path, make_client: Make) -> None:
    """R1, R3: events that are pushed while the server is killed and restarted are each stored once."""
    environment = {"MONGODB_URI": mongod.uri, "CLICKSTREAM_DATABASE": new_id("client")}
    process = ServeProcess(tmp_path, environment)
    try:
        client = make_client(process.address, queue=QueueSettings(linger=0))
        client.register(session())
        for number in range(500):
            client.push("s-1", event(f"e-{number}"))
            if number == 200:
                wait_for(lambda: client.stats.accepted > 10)
                process.kill()
        process = ServeProcess(tmp_path, environment, listen=process.address)
        assert client.flush(PATIENCE)
        assert client.stats.accepted + client.stats.duplicate == 501
        assert len(client.get_session("s-1").events) == 500
    finally:
        process.kill()


QUEUE_AND_EXIT = """
import os, sys
from embedding_studio.clickstream.v1.session_pb2 import Event, Session
from clickstream.client import ClickstreamClient, QueueSettings

client = ClickstreamClient(sys.argv[1], queue=QueueSettings(linger=1_000, close_timeout=1_000))
client.register(Session(session_id="s-1", query="red shoes"))
for number in range(100):
    client.push("s-1", Event(object_id="a", type="click"))
"""
FORK = """
child = os.fork()
if not child:
    try:
        CALL
    except RuntimeError:
        sys.exit(7)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def run(script: str, address: str) -> int:
    """Runs a script and returns its exit code."""
    return subprocess.run([sys.executable, "-c", script, address], timeout=60, check=False).returncode


def test_waiting_items_are_sent_at_exit(server: InProcessServer) -> None:
    """A script that ends without closing its client has sent every queued item."""
    assert run(QUEUE_AND_EXIT, server.address) == 0
    stored = server.clickstream.GetSession(service.GetSessionRequest(session_id="s-1")).stored_session
    assert len(stored.events) == 100


@pytest.mark.parametrize(
    "call",
    [
        'client.register(Session(session_id="s-2", query="red shoes"))',
        'client.push("s-1", Event(object_id="a", type="click"))',
        "client.flush(1)",
    ],
)
def test_a_forked_child_may_not_use_the_queue(call: str, server: InProcessServer) -> None:
    """In a forked child every call of the queue raises at once, and the child's exit neither waits nor sends."""
    assert run(QUEUE_AND_EXIT + FORK.replace("CALL", call), server.address) == 7
    stored = server.clickstream.GetSession(service.GetSessionRequest(session_id="s-1")).stored_session
    assert len(stored.events) == 100
