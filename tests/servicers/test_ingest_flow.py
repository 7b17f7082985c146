"""Ingest through a real channel: failures, drain, cancellation and backpressure."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from google.rpc import error_details_pb2
from grpc import StatusCode
from support.builders import NOW, create_request, event, push_request
from support.ingest_calls import (
    Conversation,
    block_store,
    events_of,
    ingest,
    sessions_of,
    stored,
    until_it_breaks,
)
from support.memory_store import MemoryDao
from support.servers import PATIENCE, Clock, InProcessServer, detail, reason, refused, until, wait_for

from clickstream.dao.group_commit import GroupCommit
from clickstream.domain.errors import Reason, Unavailable
from clickstream.servicers.checks import admission
from clickstream.servicers.ingest import IngestStream
from clickstream.servicers.refusal_counts import RefusalCounts


def test_r3_a_store_that_fails_ends_the_stream_where_it_failed(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R1, R3: after the store failed, what was acknowledged is stored; the rest, sent again, is stored once."""
    append, calls = server.dao.events.append, []

    def fail_third(pushes: Any) -> Any:
        calls.append(pushes)
        if len(calls) == 3:
            append(pushes)  # written, but not acknowledged
            raise Unavailable(Reason.STORE_UNAVAILABLE, "down")
        return append(pushes)

    monkeypatch.setattr(server.dao.events, "append", fail_third)
    talk = Conversation(server)
    requests = [*sessions_of("s-1"), *(events_of(number, "s-1", f"e-{number}") for number in range(2, 8))]
    acknowledged = []
    for request in requests[:3]:
        talk.send(request)
        acknowledged.append(next(talk.call).sequence)
    talk.send(*requests[3:], None)
    rest, error = until_it_breaks(talk.call)
    assert (rest, error.code(), reason(error)) == ([], StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
    assert detail(error, error_details_pb2.RetryInfo).HasField("retry_delay")
    assert {"e-2", "e-3"} <= set(stored(server, "s-1"))
    answers = ingest(server, *(each for each in requests if each.sequence not in acknowledged))
    assert all(each.events.accepted_count + each.events.duplicate_count == 1 for each in answers)
    assert stored(server, "s-1") == [f"e-{number}" for number in range(2, 8)]


def test_r1_a_broken_stream_is_resumed_without_loss(mongo_server: InProcessServer) -> None:
    """R1, R3: what was acknowledged before the connection broke is stored; the rest, sent again, is stored once."""
    requests = sessions_of("s-1")
    requests += [events_of(number, "s-1", *(f"{number}-{each}" for each in range(50))) for number in range(2, 200)]
    call = mongo_server.clickstream.Ingest(iter(requests), timeout=PATIENCE)
    acknowledged = [next(call).sequence for _ in range(40)]
    call.cancel()
    sent = [each.event_id for request in requests[:40] for each in request.events.events]
    assert set(sent) <= set(stored(mongo_server, "s-1"))
    answers = ingest(mongo_server, *requests[len(acknowledged) :])
    assert [each.sequence for each in answers] == [each.sequence for each in requests[len(acknowledged) :]]
    kept = mongo_server.dao.events.of_sessions(1, 1, 1).of[1].events
    assert sorted(each.event_id for each in kept) == sorted(
        each.event_id for request in requests for each in request.events.events
    )


def test_r20_a_drain_acknowledges_what_was_accepted(server: InProcessServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """R20: at a stop the server stops reading, acknowledges what it has read, and ends with UNAVAILABLE."""
    server.clickstream.CreateSession(create_request("s-1"))
    given, go_on = block_store(server, monkeypatch)
    talk = Conversation(server)
    talk.send(*(events_of(number, "s-1", f"e-{number}") for number in range(1, 4)))
    wait_for(lambda: given and server.commit._waiting_documents == 2)
    drain = server.drain(grace=PATIENCE)
    wait_for(lambda: server._server._boundary._stopping)
    talk.send(events_of(4, "s-1", "e-4"))
    wait_for(lambda: talk.taken == 4)
    go_on.set()
    answers, error = until_it_breaks(talk.call)
    assert [each.sequence for each in answers] == [1, 2, 3]
    assert (error.code(), reason(error)) == (StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
    talk.send(None)
    drain.result(PATIENCE)
    kept = server.dao.events.of_sessions(1, 1, 1).of[1].events
    assert [each.event_id for each in kept] == ["e-1", "e-2", "e-3"]


def test_r20_a_drain_finishes_a_stream_that_was_sent_completely(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R20: if the client had sent everything before the stop, all of it is acknowledged, and the stream ends well."""
    server.clickstream.CreateSession(create_request("s-1"))
    given, go_on = block_store(server, monkeypatch)
    talk = Conversation(server)
    talk.send(events_of(1, "s-1", "e-1"), events_of(2, "s-1", "e-2"), None)
    wait_for(lambda: given and server.commit._waiting_documents == 1)
    wait_for(lambda: not is_reading(server))
    drain = server.drain(grace=PATIENCE)
    wait_for(lambda: server._server._boundary._stopping)
    go_on.set()
    assert [each.sequence for each in talk.call] == [1, 2]
    drain.result(PATIENCE)


def is_reading(server: InProcessServer) -> bool:
    """Whether the reading task of an Ingest stream runs in the server's loop; the stream itself ends later."""

    async def coroutines() -> list[str]:
        return [str(each.get_coro()) for each in asyncio.all_tasks()]

    return any("_read_all" in each for each in server.run(coroutines()))


@pytest.mark.parametrize("how", ["cancel", "deadline"])
def test_r21_a_canceled_stream_frees_everything(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """R21: after a cancellation or deadline no task of the stream runs, and its submitted writes are not undone."""
    server.clickstream.CreateSession(create_request("s-1"))
    given, go_on = block_store(server, monkeypatch)
    talk = Conversation(server, timeout=PATIENCE if how == "cancel" else 0.5)
    talk.send(events_of(1, "s-1", "e-1"), events_of(2, "s-1", "e-2"))
    wait_for(lambda: given and server.commit._waiting_documents == 1)
    if how == "cancel":
        assert is_reading(server)
        talk.call.cancel()
    wait_for(lambda: not is_reading(server))
    assert refused(lambda: talk.call).code() in (StatusCode.CANCELLED, StatusCode.DEADLINE_EXCEEDED)
    talk.send(None)
    go_on.set()
    wait_for(lambda: stored(server, "s-1") == ["e-1", "e-2"])


def large(sequence: int) -> pb.IngestRequest:
    """A message that counts as about 1 MiB in the window."""
    return events_of(sequence, "s-1", *(f"{sequence}-{each}" for each in range(1000)))


def test_a_blocked_store_bounds_what_a_stream_reads(server: InProcessServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """R7: while the store is blocked, a stream is read up to about 8 MiB; afterwards reading continues."""
    server.clickstream.CreateSession(create_request("s-1"))
    _, go_on = block_store(server, monkeypatch)
    read = watch_reading(monkeypatch)
    talk = Conversation(server)
    talk.send(*(large(number) for number in range(1, 41)), None)
    wait_for(lambda: len(read) >= 7)
    assert not is_reached(lambda: len(read) > 9)
    go_on.set()
    assert [each.events.accepted_count for each in talk.call] == [1000] * 40


def test_reading_stops_while_a_client_takes_no_answers(memory_dao: MemoryDao) -> None:
    """R7: without a client that takes acknowledgements, reading stops at the window, and a cancel frees everything."""

    async def scenario() -> None:
        commit = GroupCommit(memory_dao, max_waiting_bytes=64 * 2**20)
        stream = IngestStream(
            commit, lambda _: admission.arrival(NOW, None), RefusalCounts(memory_dao.refusals, lambda: NOW)
        )
        read: list[int] = []

        async def requests() -> AsyncIterator[pb.IngestRequest]:
            for number in range(1, 41):
                read.append(number)
                yield large(number)

        async def never(_: pb.IngestResponse) -> None:
            await asyncio.Event().wait()

        running = asyncio.create_task(stream.run(requests(), never))
        await until(lambda: len(read) >= 7)
        await until(lambda: not commit._writers)  # all that was read is stored
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(read) <= 9
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await commit.close()

    asyncio.run(scenario())


def watch_reading(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sequences of the messages that the server read, as it reads them."""
    read: list[int] = []
    submitted = IngestStream._submitted

    async def watched(self: IngestStream, request: pb.IngestRequest) -> Any:
        read.append(request.sequence)
        return await submitted(self, request)

    monkeypatch.setattr(IngestStream, "_submitted", watched)
    return read


def is_reached(condition: Any) -> bool:
    """Whether the condition becomes true within 0.3 s."""
    try:
        return bool(wait_for(condition, patience=0.3))
    except AssertionError:
        return False


def test_streams_share_a_small_queue_and_leave_room_for_calls(
    memory_dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R7: streams wait for room instead of failing, fill only half of the queue, and a unary call still gets in."""
    queue_bytes = 8 * 2**20
    with InProcessServer(memory_dao, clock, queue_bytes=queue_bytes) as server:
        server.clickstream.CreateSession(create_request("s-1"))
        given, go_on = block_store(server, monkeypatch)
        talks = [Conversation(server) for _ in range(3)]
        try:
            for at, talk in enumerate(talks):
                talk.send(*(large(100 * at + number) for number in range(1, 11)), None)
            wait_for(lambda: len(given) >= 1 and server.commit._waiting_bytes > queue_bytes // 4)
            assert not is_reached(lambda: server.commit._waiting_bytes > queue_bytes // 2)
            call = server.clickstream.PushEvents.future(push_request("s-1", event("call")), timeout=PATIENCE)
            assert not is_reached(call.done)
        finally:
            go_on.set()  # a store that stays blocked would keep the server from ending
        assert call.result().accepted_count == 1
        for talk in talks:
            assert [each.events.accepted_count for each in talk.call] == [1000] * 10


def test_r8_r9_several_streams_at_once(mongo_server: InProcessServer) -> None:
    """R8, R9: the sessions of four streams get dense numbers in each stream's order, and all events are stored."""

    def play(stream: int, answers: list[pb.IngestResponse]) -> None:
        requests = []
        for number in range(60):
            requests += sessions_of(f"s-{stream}-{number}", start=2 * number + 1)
            requests.append(events_of(2 * number + 2, f"s-{stream}-{number}", "e-1", "e-2", "e-3"))
        answers.extend(ingest(mongo_server, *requests))

    answers: list[list[pb.IngestResponse]] = [[] for _ in range(4)]
    threads = [threading.Thread(target=play, args=(stream, answers[stream])) for stream in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    numbers = [[each.session.session_number for each in of_stream[::2]] for of_stream in answers]
    assert all(of_stream == sorted(of_stream) for of_stream in numbers)
    assert sorted(number for of_stream in numbers for number in of_stream) == list(range(1, 241))
    assert all(each.events.accepted_count == 3 for of_stream in answers for each in of_stream[1::2])
    assert sum(len(each.events) for each in mongo_server.dao.events.of_sessions(1, 1, 240).of.values()) == 720
