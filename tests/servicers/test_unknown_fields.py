"""Fields that this server does not know: never stored, never compared (R1, R7)."""

from embedding_studio.clickstream.v1 import batch_service_pb2 as batch_pb
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1 import session_pb2
from embedding_studio.clickstream.v1 import training_service_pb2 as training_pb
from google.protobuf.message import Message
from grpc import StatusCode
from support.builders import create_request, event, push_request, release_request, session
from support.servers import PATIENCE, InProcessServer, fields, refused

from clickstream.contract.encoding import message_field, varint

GROUP, START, END = 1_000, 3, 4
CREATE, PUSH = "ClickstreamService/CreateSession", "ClickstreamService/PushEvents"
# As deep as a request may nest: parsers stop at 100 levels.
DEPTH = 99


def groups(depth: int) -> bytes:
    """The encoding of an unknown field: groups within groups."""
    return varint(GROUP << 3 | START) * depth + varint(GROUP << 3 | END) * depth


def with_unknown(message: Message, depth: int = DEPTH) -> bytes:
    """The encoding of a message with an unknown field after its own fields."""
    return message.SerializeToString() + groups(depth)


def create_bytes(sent: bytes) -> bytes:
    """A CreateSessionRequest around an encoded session."""
    return message_field(pb.CreateSessionRequest.SESSION_FIELD_NUMBER, sent)


def push_bytes(session_id: str, *events: bytes) -> bytes:
    """A PushEventsRequest, or an EventList, around encoded events: both have the same fields."""
    head = pb.PushEventsRequest(session_id=session_id).SerializeToString()
    return head + b"".join(message_field(pb.PushEventsRequest.EVENTS_FIELD_NUMBER, each) for each in events)


def ingest(server: InProcessServer, *messages: bytes) -> list[pb.IngestResponse]:
    """Sends encoded messages through one stream."""
    path = "/embedding_studio.clickstream.v1.ClickstreamService/Ingest"
    stream = server.channel.stream_stream(path, None, pb.IngestResponse.FromString)
    return list(stream(iter(messages), timeout=PATIENCE))


def check_readable(server: InProcessServer) -> None:
    """Everything that was written can be read in every way, and is the plain session `s-1`."""
    server.batch.ReleaseBatch(release_request())
    read = server.clickstream.GetSession(pb.GetSessionRequest(session_id="s-1")).stored_session
    [paged] = server.batch.GetBatchSessions(batch_pb.GetBatchSessionsRequest(batch_id="batch-1")).sessions
    [streamed] = server.batch.StreamBatchSessions(batch_pb.StreamBatchSessionsRequest(batch_id="batch-1"))
    inputs = server.training.StreamTrainingInputs(training_pb.StreamTrainingInputsRequest(batch_id="batch-1"))
    assert next(inputs).input.session_id == "s-1"
    assert read == paged == streamed.stored_session
    read.session.ClearField("created_at")
    assert read.session.SerializeToString(deterministic=True) == session("s-1").SerializeToString(deterministic=True)
    for each in read.events:
        each.ClearField("created_at")
        assert each.SerializeToString() == event(each.event_id).SerializeToString()


def test_r7_unknown_fields_break_no_later_read(any_server: InProcessServer) -> None:
    """R7: a session and events with nested unknown groups are stored without them, by unary calls."""
    any_server.call(CREATE, create_bytes(with_unknown(session("s-1"))))
    any_server.call(PUSH, push_bytes("s-1", with_unknown(event("e-1"))))
    any_server.call(PUSH, push_bytes("s-1", with_unknown(event("e-2")), with_unknown(event("e-3"))))
    check_readable(any_server)


def test_r7_unknown_fields_in_a_stream_break_no_later_read(any_server: InProcessServer) -> None:
    """R7: a stream, too, stores a session and events without their unknown fields."""
    first, second = pb.IngestRequest(sequence=1), pb.IngestRequest(sequence=2)
    answers = ingest(
        any_server,
        first.SerializeToString() + message_field(pb.IngestRequest.SESSION_FIELD_NUMBER, with_unknown(session("s-1"))),
        second.SerializeToString()
        + message_field(pb.IngestRequest.EVENTS_FIELD_NUMBER, push_bytes("s-1", with_unknown(event("e-1"), DEPTH - 1))),
    )
    assert [each.HasField("failure") for each in answers] == [False, False]
    check_readable(any_server)


def test_r7_what_is_stored_is_our_own_encoding(server: InProcessServer) -> None:
    """R7: a message whose fields come in pieces or in another order is stored as this process encodes it."""
    sent = session("s-1")
    halves = [session_pb2.Session(query="overwritten"), session_pb2.Session(query=sent.query), sent]
    server.call(CREATE, create_bytes(b"".join(each.SerializeToString() for each in halves)))
    stored = server.dao.sessions.get("s-1").payload
    assert stored == session_pb2.Session.FromString(stored).SerializeToString()


def test_r7_a_value_of_unknown_fields_only_is_refused(server: InProcessServer) -> None:
    """R7: a Value with unknown fields only is refused like an empty one."""
    request = create_request("s-1")
    request.session.context.fields["new"].MergeFromString(groups(1))
    error = refused(server.call, CREATE, request.SerializeToString())
    assert (error.code(), fields(error)) == (StatusCode.INVALID_ARGUMENT, ["session.context.new"])
    server.clickstream.CreateSession(create_request("s-1"))
    sent = event("e-1")
    sent.meta.fields["new"].list_value.values.add().MergeFromString(groups(1))
    error = refused(server.call, PUSH, push_request("s-1", sent).SerializeToString())
    assert (error.code(), fields(error)) == (StatusCode.INVALID_ARGUMENT, ["events[0].meta.new[0]"])


def test_r1_a_retry_by_a_newer_client_is_the_same(server: InProcessServer) -> None:
    """R1: a retry with unknown fields at any depth is the same session, event and run."""
    sent = create_request("s-1")
    assert server.clickstream.CreateSession(sent).created
    again = pb.CreateSessionRequest.FromString(sent.SerializeToString())
    again.session.results[1].MergeFromString(groups(1))
    again.session.MergeFromString(groups(1))
    assert not server.clickstream.CreateSession(again).created
    server.clickstream.PushEvents(push_request("s-1", event("e-1")))
    newer = event("e-1")
    newer.MergeFromString(groups(1))
    assert server.clickstream.PushEvents(push_request("s-1", newer)).duplicate_count == 1
    server.batch.ReleaseBatch(release_request())
    start = training_pb.StartTrainingRequest(run_id="run-1", batch_ids=["batch-1"])
    start.settings.epochs = 1
    assert server.training.StartTraining(start).created
    start.settings.MergeFromString(groups(1))
    assert not server.training.StartTraining(start).created


def test_r7_a_run_is_stored_without_unknown_fields(server: InProcessServer) -> None:
    """R7: the stored request of a run has no unknown fields."""
    server.clickstream.CreateSession(create_request("s-1"))
    server.batch.ReleaseBatch(release_request())
    start = training_pb.StartTrainingRequest(run_id="run-1", batch_ids=["batch-1"])
    plain = start.SerializeToString()
    start.MergeFromString(groups(DEPTH))
    server.training.StartTraining(start)
    assert server.dao.runs.get("run-1").request == plain
