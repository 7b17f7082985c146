import threading

import grpc
from embedding_studio.clickstream.v1.clickstream_service_pb2 import EventOutcome
from support.builders import event, session
from support.scripted import InMemoryService
from support.servers import InProcessServer, refused

from clickstream.client import ClickstreamClient

PATIENCE = 20


def test_direct_calls_answer(server: InProcessServer) -> None:
    """Every direct call returns what the server answered."""
    with ClickstreamClient(server.address) as client:
        assert client.create_session(session()).created
        assert not client.create_session(session()).created
        outcomes = client.push_events("s-1", [event("e-1"), event("e-1", type="view")])
        assert [outcome.code for outcome in outcomes] == [EventOutcome.CODE_ACCEPTED, EventOutcome.CODE_CONFLICT]
        assert client.mark_irrelevant("s-1").irrelevant
        assert not client.restore("s-1").irrelevant
        assert [kept.event_id for kept in client.get_session("s-1").events] == ["e-1"]
        assert refused(client.get_session, "s-2").code() is grpc.StatusCode.NOT_FOUND


def test_r21_direct_calls_have_a_deadline(scripted: InMemoryService, scripted_address: str) -> None:
    """R21: a direct call to a server that does not answer ends at its own deadline, by default the client's."""
    answer = threading.Event()
    scripted.faults.append(lambda *_: answer.wait(PATIENCE))
    with ClickstreamClient(scripted_address, timeout=0.1) as hasty, ClickstreamClient(scripted_address) as client:
        assert refused(hasty.create_session, session()).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert refused(client.create_session, session(), timeout=0.1).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        answer.set()
        assert client.create_session(session("s-2")).created


def test_a_queued_item_is_a_copy_with_id_and_time(server: InProcessServer) -> None:
    """The caller may change its messages after queueing; a missing id or time is filled in when they are queued."""
    with ClickstreamClient(server.address) as client:
        shown = session()
        click = event(event_id="")
        client.register(shown)
        client.push("s-1", click)
        shown.query = click.type = "changed"
        assert client.flush(PATIENCE)
        stored = client.get_session("s-1")
    assert not click.event_id
    assert stored.session.query == "red shoes"
    assert stored.events[0].type == "click"
    assert len(stored.events[0].event_id) == 36
    assert stored.session.created_at.ToNanoseconds() < stored.events[0].created_at.ToNanoseconds()


def test_leaving_the_context_sends_the_queue(server: InProcessServer) -> None:
    """`with` closes the client, and closing flushes."""
    with ClickstreamClient(server.address) as client:
        client.register(session())
    assert client.stats.accepted == 1
    assert server.dao.sessions.get("s-1") is not None
