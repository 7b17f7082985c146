"""Ingest through a real channel: one acknowledgement per message, in order, each durable."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1 import error_reason_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc import StatusCode
from support.builders import NOW, create_request, event, push_request, session
from support.memory_store import MemoryDao
from support.servers import PATIENCE, Clock, InProcessServer, detail, fields, reason, refused, until, wait_for

from clickstream.dao.group_commit import GroupCommit
from clickstream.domain.errors import Reason, Unavailable
from clickstream.servicers.checks import admission
from clickstream.servicers.ingest import IngestStream

Outcome = pb.EventOutcome
METHOD = "/embedding_studio.clickstream.v1.ClickstreamService/Ingest"


def sessions_of(*session_ids: str, start: int = 1) -> list[pb.IngestRequest]:
    """One message per session, numbered from `start`."""
    return [pb.IngestRequest(sequence=number, session=session(each)) for number, each in enumerate(session_ids, start)]


def events_of(sequence: int, session_id: str, *events: Any, **more: Any) -> pb.IngestRequest:
    """A message with events of one session; a text is the id of a click."""
    made = [event(each) if isinstance(each, str) else each for each in events]
    return pb.IngestRequest(sequence=sequence, events=pb.EventList(session_id=session_id, events=made), **more)


def ingest(server: InProcessServer, *requests: pb.IngestRequest) -> list[pb.IngestResponse]:
    """Sends messages, ends the stream and reads all acknowledgements."""
    return list(server.clickstream.Ingest(iter(requests), timeout=PATIENCE))


def until_it_breaks(call: Any) -> tuple[list[pb.IngestResponse], Any]:
    """The acknowledgements before a stream breaks, and its error."""
    answers: list[pb.IngestResponse] = []
    return answers, refused(lambda: (answers.append(each) for each in call))


class Conversation:
    """A stream whose messages the test sends one by one."""

    def __init__(self, server: InProcessServer, timeout: float = PATIENCE) -> None:
        self._outgoing: queue.Queue[pb.IngestRequest | None] = queue.Queue()
        self.taken = 0
        self.call = server.clickstream.Ingest(self._requests(), timeout=timeout)

    def _requests(self) -> Iterator[pb.IngestRequest]:
        while (request := self._outgoing.get()) is not None:
            self.taken += 1
            yield request

    def send(self, *requests: pb.IngestRequest | None) -> None:
        """Sends messages; None ends the client's side."""
        for request in requests:
            self._outgoing.put(request)


def block_store(server: InProcessServer, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], threading.Event]:
    """Makes the store wait before it stores events; returns the waiting pushes, and what lets it continue."""
    given: list[Any] = []
    go_on = threading.Event()
    append = server.dao.events.append

    def wait(pushes: Any) -> Any:
        given.extend(pushes)
        assert go_on.wait(PATIENCE)
        return append(pushes)

    monkeypatch.setattr(server.dao.events, "append", wait)
    return given, go_on


def stored(server: InProcessServer, session_id: str) -> list[str]:
    """The ids of the events that a session has."""
    found = server.clickstream.GetSession(pb.GetSessionRequest(session_id=session_id)).stored_session
    return [each.event_id for each in found.events]


@pytest.fixture(params=["server", "mongo_server"])
def either(request: pytest.FixtureRequest) -> InProcessServer:
    """A server over either store."""
    server: InProcessServer = request.getfixturevalue(request.param)
    return server


def test_events_follow_their_session_in_one_stream(either: InProcessServer) -> None:
    """R4: events right after their session find it; acknowledgements come in order, with place and counts."""
    requests = []
    for number in range(1, 101):
        requests += sessions_of(f"s-{number}", start=2 * number)
        requests.append(events_of(2 * number + 1, f"s-{number}", "e-1", "e-2"))
    answers = ingest(either, *requests)
    assert [each.sequence for each in answers] == [each.sequence for each in requests]
    places = [each.session for each in answers[::2]]
    assert [(each.created, each.batch_id, each.session_number) for each in places] == [
        (True, "batch-1", number) for number in range(1, 101)
    ]
    assert all(each.events == pb.IngestedEvents(accepted_count=2) for each in answers[1::2])
    assert stored(either, "s-100") == ["e-1", "e-2"]


def test_r7_a_thousand_events_per_message(either: InProcessServer) -> None:
    """R7: messages of 1,000 events are acknowledged in a few bytes; only the message of 1,001 is refused."""
    full = [events_of(number, "s-1", *(f"{number}-{each}" for each in range(1000))) for number in range(2, 7)]
    beyond = events_of(7, "s-1", *(f"e-{each}" for each in range(1001)))
    answers = ingest(either, *sessions_of("s-1"), *full, beyond)
    assert [each.events.accepted_count for each in answers[1:6]] == [1000] * 5
    assert all(each.ByteSize() < 20 for each in answers[1:6])
    failure = answers[6].failure
    assert (failure.field, failure.reason) == ("events.events", error_reason_pb2.ERROR_REASON_LIMIT_EXCEEDED)
    assert len(either.dao.events.of_sessions(1, 1, 1).of[1].events) == 5000


def test_r2_outcomes_are_listed_unless_all_are_accepted(either: InProcessServer) -> None:
    """R2: the outcomes of duplicates, conflicts and rejections are listed in the events' order, and counted."""
    mixed = [event("e-1"), event("e-2", "b"), event("e-3", type="not a type"), event("e-4")]
    _, first, answer = ingest(
        either, *sessions_of("s-1"), events_of(2, "s-1", "e-1", "e-2"), events_of(3, "s-1", *mixed)
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


def test_r1_a_stream_sent_again_changes_nothing(either: InProcessServer) -> None:
    """R1: a repeated message is acknowledged with what is stored; only one with other content is CONTENT_CONFLICT."""
    requests = [*sessions_of("s-1"), events_of(2, "s-1", "e-1", "e-2")]
    ingest(either, *requests)
    other = pb.IngestRequest(sequence=3, session=session("s-1", query="blue shoes"))
    again, events, conflict = ingest(either, *requests, other)
    assert (again.session.created, again.session.session_number) == (False, 1)
    assert events.events.duplicate_count == 2
    assert conflict.failure.reason == error_reason_pb2.ERROR_REASON_CONTENT_CONFLICT
    assert conflict.failure.field == "session.session_id"


def test_a_refused_message_costs_no_other_anything(either: InProcessServer) -> None:
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
    answers = ingest(either, *requests)
    assert [each.sequence for each in answers] == [each.sequence for each in requests]
    failures = [each.failure for each in answers[1::2]]
    assert [each.field for each in failures] == [field for _, field, _ in bad]
    assert [error_reason_pb2.ErrorReason.Name(each.reason) for each in failures] == [
        f"ERROR_REASON_{name}" for _, _, name in bad
    ]
    assert all(each.events.accepted_count == 1 for each in answers[2::2])
    assert len(stored(either, "s-1")) == len(bad)


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
    ("bad", "code"), [(b"\xff\xff", StatusCode.INVALID_ARGUMENT), (b"\0" * 2**23, StatusCode.RESOURCE_EXHAUSTED)]
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
        stream = IngestStream(commit, lambda _: admission.arrival(NOW, None))
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
