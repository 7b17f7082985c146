"""Random requests: none causes a defect or stops the server (R7)."""

import contextlib
import random
from collections.abc import Iterator, Sequence
from datetime import timedelta

import grpc
import pytest
from embedding_studio.clickstream.v1 import analytics_service_pb2 as analytics_pb
from embedding_studio.clickstream.v1 import batch_service_pb2 as batch_pb
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1 import error_reason_pb2, figures_pb2
from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb
from embedding_studio.clickstream.v1 import model_service_pb2 as model_pb
from embedding_studio.clickstream.v1 import training_service_pb2 as training_pb
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders import NOW, create_request, event, nested, push_request, release_request, session_drafts, struct
from support.random_messages import damaged, good_beginning, methods, request_bytes
from support.servers import Clock, InProcessServer, detail, reason

from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.store import MongoDao
from clickstream.servicers.checks import page_tokens

DEFECTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
SERVICES = (pb, batch_pb, improvement_pb, training_pb, model_pb, analytics_pb)


def unary_methods() -> list[str]:
    """Every unary method."""
    return [
        f"{service.name}/{method.name}"
        for module in SERVICES
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if not method.server_streaming
    ]


def good_requests() -> list[Message]:
    """Well-formed requests, of which mutations are made."""
    token = page_tokens.encode_token("GetBatchSessions", 1, 2, False)
    listing = page_tokens.encode_position("ListTrainingRuns", NOW, "run-1", [])
    start = training_pb.StartTrainingRequest(run_id="run-1", batch_ids=["batch-1"])
    start.settings.learning_rate = 1e-4
    return [
        create_request("s-1", context=struct(a=[1, {"b": None}]), created_at=None),
        create_request("s-2", context=nested(10)),
        push_request("s-1", event("e-1", meta=struct(x=1)), event("e-2")),
        release_request("r-1", "batch-1"),
        batch_pb.GetBatchSessionsRequest(batch_id="batch-1", page_size=2, page_token=token),
        batch_pb.ListBatchesRequest(page_size=1, statuses=[1, 2]),
        model_pb.PromoteModelRequest(model_version_id="m-1", request_id="p-1", force=True, reason="why"),
        model_pb.EmbedRequest(texts=["red"], kind=model_pb.TEXT_KIND_QUERY),
        model_pb.ListPromotionsRequest(page_token=page_tokens.encode_token("ListPromotions", 3)),
        training_pb.ListTrainingRunsRequest(page_size=1, page_token=listing, states=[1]),
        start,
        improvement_pb.UseSessionForImprovementRequest(session_id="s-1"),
        improvement_pb.ListImprovementTasksRequest(page_size=1, states=[1], include_summary=True),
        *figures_requests(),
    ]


def figures_requests() -> list[Message]:
    """Well-formed requests for figures."""
    window = figures_pb2.Window(time_zone="Europe/Berlin")
    window.start.FromDatetime(NOW - timedelta(days=2))
    window.end.FromDatetime(NOW)
    filters = [figures_pb2.Filter(dimension="client", values=["web", ""])]
    side = analytics_pb.ComparedSide(window=window, filters=filters)
    return [
        analytics_pb.QueryFiguresRequest(window=window, bucket=2, dimension="object", filters=filters),
        analytics_pb.QueryFiguresRequest(bucket=1, dimension="context.locale", value_limit=3),
        analytics_pb.ListTopRequest(list=4, window=window, min_searches=1, page_size=2),
        analytics_pb.CompareFiguresRequest(first=side, second=analytics_pb.ComparedSide()),
    ]


def mutated(seed: int, requests: Sequence[Message] = ()) -> bytes:
    """A good request, of this or another method, with some bytes changed, cut, doubled or inserted."""
    chance = random.Random(seed)
    good = chance.choice(requests or good_requests()).SerializeToString()
    return damaged(good, chance) if chance.randrange(4) else good


@pytest.fixture(scope="module")
def fuzzed(mongo_client) -> Iterator[InProcessServer]:
    """A server over the real store, for all examples."""
    from clickstream.dao.mongo.schema import prepare_schema

    database: Document = mongo_client["fuzzed"]
    prepare_schema(database)
    with InProcessServer(MongoDao(database), Clock()) as server:
        server.dao.sessions.append(session_drafts(3))
        yield server
    mongo_client.drop_database("fuzzed")


def check(server: InProcessServer, method: str, request: bytes) -> None:
    """Calls a method; if the call fails, it must fail as the contract states."""
    failure = None
    try:
        server.call(method, request)
    except grpc.RpcError as error:
        failure = error
    if failure is not None:
        assert failure.code() not in DEFECTS, (method, request, failure)
        info = detail(failure, error_details_pb2.ErrorInfo)
        assert info.domain == "clickstream.embedding_studio"
        error_reason_pb2.ErrorReason.Value(info.reason)  # raises if the contract does not know it


@given(
    method=st.sampled_from(unary_methods()),
    request=st.binary(max_size=60) | st.integers(0, 2**32).map(mutated),
)
@settings(max_examples=400)
def test_r7_no_request_causes_a_defect(fuzzed: InProcessServer, method: str, request: bytes) -> None:
    """R7: every unary method answers random and mutated requests, or fails with a reason of the contract."""
    check(fuzzed, method, request)


def ingest_requests() -> list[pb.IngestRequest]:
    """Well-formed messages of an Ingest stream, of which mutations are made."""
    acts = pb.EventList(session_id="s-1", events=[event("e-1", meta=struct(x=1)), event("e-2")])
    return [
        pb.IngestRequest(sequence=1, session=create_request("s-3", context=nested(10)).session),
        pb.IngestRequest(sequence=2, events=acts, historical=True),
        pb.IngestRequest(sequence=3),
    ]


@given(
    st.lists(
        st.binary(max_size=40) | st.integers(0, 2**32).map(lambda seed: mutated(seed, ingest_requests())), max_size=6
    )
)
@settings(max_examples=200)
def test_r7_no_stream_causes_a_defect(fuzzed: InProcessServer, requests: list[bytes]) -> None:
    """R7: random and mutated messages are acknowledged in order, or end the stream with a reason of the contract."""
    path = "/embedding_studio.clickstream.v1.ClickstreamService/Ingest"
    sequences = []
    failure = None
    try:
        for answer in fuzzed.channel.stream_stream(path, None, pb.IngestResponse.FromString)(
            iter(requests), timeout=20
        ):
            assert answer.WhichOneof("outcome")
            sequences.append(answer.sequence)
    except grpc.RpcError as error:
        failure = error
    if failure is None:
        assert len(sequences) == len(requests)
    else:
        assert (failure.code(), reason(failure)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert sequences == [pb.IngestRequest.FromString(each).sequence for each in requests[: len(sequences)]]
    assert sequences == sorted(set(sequences))


def test_r7_no_structured_message_causes_a_defect(fuzzed: InProcessServer) -> None:
    """R7: at every method, messages made of its own fields, with values at and beyond their bounds, fail as stated."""
    for request in good_beginning():
        check(fuzzed, "ClickstreamService/CreateSession", request)
    every = methods()
    for number in range(1_200):
        chance = random.Random(number)
        method = every[number % len(every)]
        request = request_bytes(method, chance)
        if not method.server_streaming:
            check(fuzzed, f"{method.containing_service.name}/{method.name}", request)
            continue
        path = f"/{method.containing_service.full_name}/{method.name}"
        stream = fuzzed.channel.stream_stream if method.client_streaming else fuzzed.channel.unary_stream
        call = stream(path)(iter([request]) if method.client_streaming else request, timeout=1)
        with contextlib.suppress(grpc.RpcError):
            list(call)
        assert call.code() not in DEFECTS, (method.name, number, call.details())


def test_r7_the_fuzzed_store_can_still_be_read(fuzzed: InProcessServer) -> None:
    """R7: after the fuzzing, every session of every batch can be read."""
    for batch in fuzzed.batch.ListBatches(batch_pb.ListBatchesRequest()).batches:
        request = batch_pb.StreamBatchSessionsRequest(batch_id=batch.batch_id, include_irrelevant=True)
        assert len(list(fuzzed.batch.StreamBatchSessions(request))) == batch.session_count


TOKENS = {
    "nonsense": "nonsense",
    "no text": "🙂",
    "empty list": page_tokens.encode_token(""),
    "json of another shape": "e30",
    "other method": page_tokens.encode_token("ListBatches", 1, ""),
    "deep": "W1tb" * 60_000,
    "long number": "WyJHZXRCYXRjaFNlc3Npb25zIiwg" + "MTEx" * 3_000 + "XQ",
    "huge number": page_tokens.encode_token("GetBatchSessions", 2**60, 0, False),
    "negative": page_tokens.encode_token("GetBatchSessions", 1, -1, False),
    "wrong kinds": page_tokens.encode_token("GetBatchSessions", "1", 0, False),
    "half a character": page_tokens.encode_position("ListImprovementTasks", NOW, "\ud800", []),
    "half a character, runs": page_tokens.encode_position("ListTrainingRuns", NOW, "\ud800", []),
    "half a character, batches": page_tokens.encode_token("ListBatches", 1, "\ud800"),
}


@pytest.mark.parametrize("forged", TOKENS)
def test_r7_a_forged_page_token_is_named(fuzzed: InProcessServer, forged: str) -> None:
    """R7: any token that the method did not issue is INVALID_PAGE_TOKEN."""
    token = TOKENS[forged]
    calls = [
        (fuzzed.batch.GetBatchSessions, batch_pb.GetBatchSessionsRequest(page_token=token)),
        (fuzzed.improvement.ListImprovementTasks, improvement_pb.ListImprovementTasksRequest(page_token=token)),
        (fuzzed.training.ListTrainingRuns, training_pb.ListTrainingRunsRequest(page_token=token)),
    ]
    if forged != "other method":
        calls.append((fuzzed.batch.ListBatches, batch_pb.ListBatchesRequest(page_token=token)))
    for call, request in calls:
        with pytest.raises(grpc.RpcError) as refused:
            call(request)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason(refused.value) == "INVALID_PAGE_TOKEN"
