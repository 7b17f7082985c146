"""Input that no client should send (R7)."""

import math

import pytest
from embedding_studio.clickstream.v1 import batch_service_pb2 as batch_pb
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb
from embedding_studio.clickstream.v1 import session_pb2
from grpc import StatusCode
from support.builders import create_request, event, push_request, struct
from support.servers import InProcessServer, fields, reason, refused


@pytest.mark.parametrize("identifier", ["", "a\0b", "a\nb", "\x7f", "\t"])
def test_r7_ids_hold_no_control_characters(server: InProcessServer, identifier: str) -> None:
    """R7: an empty id and one with a control character are refused wherever an id is asked for."""
    read = pb.GetSessionRequest(session_id=identifier)
    assert fields(refused(server.clickstream.GetSession, read)) == ["session_id"]
    assert fields(refused(server.clickstream.CreateSession, create_request(identifier))) == ["session.session_id"]
    use = improvement_pb.UseSessionForImprovementRequest(session_id=identifier)
    assert fields(refused(server.improvement.UseSessionForImprovement, use)) == ["session_id"]
    release = batch_pb.ReleaseBatchRequest(release_id=identifier)
    assert fields(refused(server.batch.ReleaseBatch, release)) == ["release_id"]


@pytest.mark.parametrize("identifier", ["$where", "a.b", "{}", "🙂", " ", "../../etc", "null"])
def test_r7_any_printable_id_is_a_plain_id(server: InProcessServer, identifier: str) -> None:
    """R7: any printable id names exactly one session and one event."""
    assert server.clickstream.CreateSession(create_request(identifier)).created
    assert server.clickstream.PushEvents(push_request(identifier, event(identifier, identifier))).accepted_count == 1
    read = server.clickstream.GetSession(pb.GetSessionRequest(session_id=identifier)).stored_session
    assert [each.event_id for each in read.events] == [identifier]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_r7_numbers_are_finite(server: InProcessServer, number: float) -> None:
    """R7: NaN and infinity are refused by name in scores and in free data, at any depth."""
    request = create_request("s-1", score_kind=session_pb2.SCORE_KIND_SIMILARITY)
    request.session.results[2].score = number
    request.session.context.update({"a": [{"b": 1.0}, {"b": 2.0}]})
    request.session.context["a"][1]["b"] = number
    error = refused(server.clickstream.CreateSession, request)
    assert fields(error) == ["session.context.a[1].b", "session.results[2].score"]


def test_r7_every_value_has_a_kind(server: InProcessServer) -> None:
    """R7: a value without a kind, which JSON cannot express, is refused by name."""
    request = create_request("s-1")
    request.session.context.fields["empty"].SetInParent()
    request.session.context.fields["list"].list_value.values.add()
    assert sorted(fields(refused(server.clickstream.CreateSession, request))) == [
        "session.context.empty",
        "session.context.list[0]",
    ]


def test_r7_null_and_empty_values_are_kept(server: InProcessServer) -> None:
    """R7: null, an empty text, an empty list and an empty object are stored as values."""
    sent = create_request("s-1", context=struct(null=None, text="", list=[], object={}, no=False, zero=0))
    server.clickstream.CreateSession(sent)
    read = server.clickstream.GetSession(pb.GetSessionRequest(session_id="s-1")).stored_session.session
    assert read.context == sent.session.context


@pytest.mark.parametrize("depth", [20, 90, 5_000])
def test_r7_data_of_any_depth_is_refused_not_fatal(server: InProcessServer, depth: int) -> None:
    """R7: free data that is too deep to check, or even to parse, is INVALID_ARGUMENT."""
    inner = b""
    for _ in range(depth):
        # Struct.fields["k"] = Value(struct_value = inner)
        value = b"\x2a" + length(inner) + inner
        entry = b"\x0a\x01k\x12" + length(value) + value
        inner = b"\x0a" + length(entry) + entry
    request = create_request("s-1").SerializeToString()
    context = b"\x2a" + length(inner) + inner
    request += b"\x0a" + length(context) + context  # merged into the session before
    error = refused(server.call, "ClickstreamService/CreateSession", request)
    assert (error.code(), reason(error) in ("LIMIT_EXCEEDED", "INVALID_FIELD")) == (StatusCode.INVALID_ARGUMENT, True)


def length(payload: bytes) -> bytes:
    """The varint before a length-delimited field."""
    size, encoded = len(payload), b""
    while size > 127:
        encoded += bytes([size & 127 | 128])
        size >>= 7
    return encoded + bytes([size])


@pytest.mark.parametrize(
    "garbage", [b"\xff", b"\x0a\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe", b"{}", bytes(range(256)), b"\0" * 1_000]
)
def test_r7_garbage_is_an_invalid_argument(server: InProcessServer, garbage: bytes) -> None:
    """R7: unary and streaming methods refuse bytes that are no message, with a BadRequest."""
    for method in ("ClickstreamService/CreateSession", "BatchService/ReleaseBatch", "TrainingService/StartTraining"):
        error = refused(server.call, method, garbage)
        assert (error.code(), reason(error)) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    stream = server.channel.unary_stream(
        "/embedding_studio.clickstream.v1.TrainingService/StreamTrainingInputs", None, None
    )
    assert refused(stream, garbage).code() is StatusCode.INVALID_ARGUMENT


def test_r7_text_that_is_not_utf8_is_an_invalid_argument(server: InProcessServer) -> None:
    """R7: a string field that is not UTF-8 is INVALID_ARGUMENT."""
    error = refused(server.call, "ClickstreamService/GetSession", b"\x0a\x02\xc3\x28")
    assert (error.code(), reason(error)) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
