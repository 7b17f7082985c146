"""The server itself: health, reflection, reasons, drain (R20), and isolation of defects (R7)."""

import asyncio
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from embedding_studio.clickstream.v1 import batch_service_pb2, clickstream_service_pb2
from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb
from embedding_studio.clickstream.v1 import model_service_pb2 as model_pb
from embedding_studio.clickstream.v1 import training_service_pb2 as training_pb
from google.protobuf import descriptor_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from support.builders import NOW, create_request, session_drafts
from support.servers import PATIENCE, InProcessServer, detail, reason, refused, wait_for

from clickstream.domain.errors import StartError
from clickstream.servicers.server import Listening, Server

T = TypeVar("T", bound=Message)
PACKAGE = "embedding_studio.clickstream.v1"
NAMES = (
    *("ClickstreamService", "BatchService", "ImprovementService", "TrainingService", "ModelService"),
    "AnalyticsService",
)
SERVICES = [f"{PACKAGE}.{name}" for name in NAMES]
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def test_health_knows_every_service(server: InProcessServer) -> None:
    """R20: the server and each of its services are SERVING; an unknown name is NOT_FOUND."""
    health = health_pb2_grpc.HealthStub(server.channel)
    for name in ["", *SERVICES]:
        assert health.Check(health_pb2.HealthCheckRequest(service=name)).status == SERVING
    unknown = refused(health.Check, health_pb2.HealthCheckRequest(service="other"))
    assert unknown.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_describes_every_service(server: InProcessServer) -> None:
    """Reflection lists the services and their messages, so that a client needs no proto files."""
    reflection = ProtoReflectionDescriptorDatabase(server.channel)
    assert set(SERVICES) | {"grpc.health.v1.Health"} <= set(reflection.get_services())
    found = reflection.FindFileContainingSymbol(f"{PACKAGE}.PushEventsRequest")
    assert found.package == PACKAGE


def test_reflection_has_two_names(server: InProcessServer) -> None:
    """Reflection answers under v1 as under v1alpha, lists both, and describes each under its own name."""
    answers = []
    for version in ("v1", "v1alpha"):
        service = f"grpc.reflection.{version}.ServerReflection"
        ask = server.channel.stream_stream(
            f"/{service}/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        listed, described = ask(
            iter(
                [
                    reflection_pb2.ServerReflectionRequest(list_services="*"),
                    reflection_pb2.ServerReflectionRequest(file_containing_symbol=service),
                ]
            ),
            timeout=PATIENCE,
        )
        answers.append({each.name for each in listed.list_services_response.service})
        [file] = described.file_descriptor_response.file_descriptor_proto
        own = descriptor_pb2.FileDescriptorProto.FromString(file)
        assert own.package == f"grpc.reflection.{version}"
        [method] = own.service[0].method
        assert method.input_type == f".grpc.reflection.{version}.ServerReflectionRequest"
    assert answers[0] == answers[1]
    assert {"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"} <= answers[0]


def test_every_method_of_the_contract_is_implemented(server: InProcessServer) -> None:
    """Every RPC of every service answers an empty request or refuses it with a reason; none is UNIMPLEMENTED."""
    for module in (clickstream_service_pb2, batch_service_pb2, improvement_pb, training_pb, model_pb):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                path = f"/{service.full_name}/{method.name}"
                kind = server.channel.unary_stream if method.server_streaming else server.channel.unary_unary
                try:
                    answer = kind(path, None, None)(b"", timeout=PATIENCE)
                    list(answer) if method.server_streaming else None
                except grpc.RpcError as error:
                    code = error.code()
                else:
                    code = grpc.StatusCode.OK
                assert code not in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)


def test_r7_a_defect_says_nothing_and_harms_no_other_call(server: InProcessServer, monkeypatch) -> None:
    """R7: an unexpected exception is INTERNAL without its text, and the server continues."""

    def broken(_: str) -> None:
        raise KeyError("secret of another user")

    monkeypatch.setattr(server.dao.sessions, "get", broken)
    error = refused(server.clickstream.GetSession, clickstream_service_pb2.GetSessionRequest(session_id="s-1"))
    assert (error.code(), reason(error)) == (grpc.StatusCode.INTERNAL, "DEFECT")
    assert "secret" not in str(error.details()) + str(error.trailing_metadata())
    assert server.clickstream.CreateSession(create_request("s-1")).created


def test_a_taken_port_is_explained(server: InProcessServer) -> None:
    """A second server on the same address is refused instead of taking half of the calls."""

    async def bind() -> None:
        Server([]).listen(Listening(server.address))

    with pytest.raises(StartError, match=r"cannot listen on .*taken"):
        server.run(bind())


def block(part: Any, name: str) -> tuple[threading.Event, threading.Event]:
    """Makes a store operation wait; returns the events that it has begun, and that it may continue."""
    begun, go_on = threading.Event(), threading.Event()
    original: Callable[..., Any] = getattr(part, name)

    def wait(*args: Any, **kwargs: Any) -> Any:
        begun.set()
        assert go_on.wait(PATIENCE)
        return original(*args, **kwargs)

    setattr(part, name, wait)
    return begun, go_on


def is_closed(address: str) -> bool:
    """Whether nothing listens on HOST:PORT any more."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except ConnectionError:
        return True
    return False


def test_r20_a_drain_finishes_what_was_accepted(server: InProcessServer) -> None:
    """R20: during a drain health is NOT_SERVING, a write in flight is finished and acknowledged."""
    begun, go_on = block(server.dao.sessions, "append")
    watch = health_pb2_grpc.HealthStub(server.channel).Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == SERVING
    writing = server.clickstream.CreateSession.future(create_request("s-1"), timeout=PATIENCE)
    assert begun.wait(PATIENCE)
    drain = server.drain(grace=PATIENCE)
    assert next(watch).status == NOT_SERVING
    watch.cancel()
    wait_for(lambda: is_closed(server.address))  # from here on only the grace time keeps the call
    assert not writing.done()
    go_on.set()
    assert writing.result().created
    drain.result(PATIENCE)
    assert server.dao.sessions.get("s-1") is not None


def test_r20_a_drain_under_load_answers_every_call(server: InProcessServer) -> None:
    """R20: calls before the drain succeed, calls after it are refused, and calls during it do any_server."""
    server.clickstream.CreateSession(create_request("first"))
    begun, go_on = block(server.dao.sessions, "append")
    boundary = server._server._boundary
    arrived = boundary._arrivals

    def send(kind: str) -> list[Any]:
        make = server.clickstream.CreateSession.future
        return [make(create_request(f"{kind}-{number}"), timeout=PATIENCE) for number in range(80)]

    before = send("before")
    wait_for(lambda: boundary._arrivals == arrived + len(before))
    racing = send("racing")
    drain = server.drain()
    wait_for(lambda: boundary._stopping)
    after = send("after")
    go_on.set()
    drain.result(PATIENCE)
    assert begun.is_set()
    assert [call.exception() for call in before] == [None] * len(before)
    assert {call.code() for call in racing} <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert {call.code() for call in after} == {grpc.StatusCode.UNAVAILABLE}
    for kind, calls in (("before", before), ("racing", racing), ("after", after)):
        for number, call in enumerate(calls):
            assert (server.dao.sessions.get(f"{kind}-{number}") is None) == (call.exception() is not None)


@pytest.mark.parametrize("busy", ["waiting", "reading"])
def test_r20_a_drain_ends_streams_with_unavailable(server: InProcessServer, busy: str) -> None:
    """R20: a stream that waits and one between its pages both end with UNAVAILABLE."""
    server.dao.sessions.append(session_drafts(3))
    server.dao.batches.release("r-1", None, NOW)
    if busy == "waiting":
        server.training.StartTraining(training_pb.StartTrainingRequest(run_id="run-1", batch_ids=["batch-1"]))
        stream = server.training.WatchTrainingRun(training_pb.WatchTrainingRunRequest(run_id="run-1"))
        next(stream)
        server.drain()
    else:
        begun, go_on = block(server.dao.sessions, "page")
        request = batch_service_pb2.StreamBatchSessionsRequest(batch_id="batch-1")
        stream = server.batch.StreamBatchSessions(request)
        wait_for(begun.is_set)
        server.drain()
        threading.Timer(0.1, go_on.set).start()
    error = refused(lambda: stream)
    assert (error.code(), reason(error)) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
    assert detail(error, error_details_pb2.RetryInfo).HasField("retry_delay")


def test_a_taken_socket_is_left_to_its_owner(tmp_path: Path) -> None:
    """A Unix socket that a server listens on is refused, and one that a killed server left is taken over."""
    address = f"unix:{tmp_path}/in.sock"
    with socket.socket(socket.AF_UNIX) as owner:
        owner.bind(f"{tmp_path}/in.sock")
        owner.listen()

        async def listen() -> str:
            return Server([]).listen(Listening(address))

        with pytest.raises(StartError, match="is taken"):
            asyncio.run(listen())
    assert asyncio.run(listen()) == address
