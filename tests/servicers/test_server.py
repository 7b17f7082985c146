"""The server itself: health, reflection, reasons, drain (R20), and isolation of defects (R7)."""

import ast
import base64
import socket
import threading
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from embedding_studio.clickstream.v1 import batch_service_pb2, clickstream_service_pb2, error_reason_pb2
from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb
from embedding_studio.clickstream.v1 import model_service_pb2 as model_pb
from embedding_studio.clickstream.v1 import training_service_pb2 as training_pb
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from support.builders import NOW, create_request, session_drafts
from support.memory_store import MemoryDao
from support.servers import PATIENCE, InProcessServer, detail, reason, refused, wait_for

import clickstream
from clickstream.contract.statuses import STATUS_CODES, grpc_status
from clickstream.domain import errors as domain
from clickstream.domain.errors import StartError
from clickstream.servicers.server import Server

T = TypeVar("T", bound=Message)
PACKAGE = "embedding_studio.clickstream.v1"
NAMES = ("ClickstreamService", "BatchService", "ImprovementService", "TrainingService", "ModelService")
SERVICES = [f"{PACKAGE}.{name}" for name in NAMES]
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def test_health_knows_every_service(server: InProcessServer) -> None:
    """R20: the server as a whole and each of its services are SERVING; an unknown one is NOT_FOUND."""
    health = health_pb2_grpc.HealthStub(server.channel)
    for name in ["", *SERVICES]:
        assert health.Check(health_pb2.HealthCheckRequest(service=name)).status == SERVING
    unknown = refused(health.Check, health_pb2.HealthCheckRequest(service="other"))
    assert unknown.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_describes_every_service(server: InProcessServer) -> None:
    """No client needs files: the services are listed, and their messages can be looked up."""
    reflection = ProtoReflectionDescriptorDatabase(server.channel)
    assert set(SERVICES) | {"grpc.health.v1.Health"} <= set(reflection.get_services())
    found = reflection.FindFileContainingSymbol(f"{PACKAGE}.PushEventsRequest")
    assert found.package == PACKAGE


def test_every_method_of_the_contract_is_implemented(server: InProcessServer) -> None:
    """No RPC of a served service is UNIMPLEMENTED: an empty request is answered or refused with a reason."""
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


def raised_reasons() -> set[str]:
    """Every reason that the source names where it makes an error."""
    found = set()
    names = {kind.__name__ for kind in STATUS_CODES}
    for path in Path(clickstream.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
                continue
            texts = [each.value for each in node.args if isinstance(each, ast.Constant)]
            if node.func.id in names and texts:
                found.add(texts[0])
            if node.func.id == "FieldViolation" and len(texts) > 2:
                found.add(texts[2])
    return found


def test_every_reason_is_in_the_contract() -> None:
    """Each reason that the code gives is a value of error_reason.proto."""
    reasons = raised_reasons()
    assert len(reasons) > 12
    for name in reasons:
        error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{name}")


@pytest.mark.parametrize("kind", STATUS_CODES)
def test_every_error_carries_its_reason(kind: type[domain.ClickstreamError]) -> None:
    """Each domain error becomes its status with ErrorInfo."""
    violations = [domain.FieldViolation("field", "is bad")]
    error = kind(violations) if kind is domain.InvalidArgument else kind("DEFECT", "why")  # type: ignore[arg-type]
    status = grpc_status(error)
    assert status.code is STATUS_CODES[kind]
    assert f"ERROR_REASON_{error.reason}".encode() in dict(status.trailing_metadata)["grpc-status-details-bin"]


@pytest.mark.parametrize("seconds", [0.25, 1, 90])
def test_r3_retry_info_says_the_seconds_of_the_error(seconds: float) -> None:
    """R3, R7: a client that waits as RetryInfo says waits as long as the error means."""
    for kind in (domain.Unavailable, domain.ResourceExhausted):
        info = packed(grpc_status(kind("DEFECT", "why", seconds)), error_details_pb2.RetryInfo())
        assert info.retry_delay.ToTimedelta().total_seconds() == seconds


# gRPC counts each header as its name, its value and 32 bytes; binary values travel in base64, messages in percent.
HEADER_BYTES = 32


@pytest.mark.parametrize("letter", ["x", "é", "🙂", "%"])
def test_r7_a_status_fits_the_trailers_however_much_is_wrong(letter: str) -> None:
    """R7: many violations with long paths and long descriptions stay below the 8 KiB that every client accepts."""
    violations = [domain.FieldViolation(letter * 300, letter * 300, "LIMIT_EXCEEDED") for _ in range(30)]
    status = grpc_status(domain.InvalidArgument(violations))
    size = len("grpc-status") + 2 + HEADER_BYTES
    size += len("grpc-message") + len(urllib.parse.quote(status.details)) + HEADER_BYTES
    for key, value in status.trailing_metadata:
        size += len(key) + len(base64.b64encode(value)) + HEADER_BYTES
    assert size < 8 * 1024
    assert len(packed(status, error_details_pb2.BadRequest()).field_violations) >= 10


def packed(status: grpc.Status, kind: T) -> T:
    """The detail of this kind that a status carries."""
    [(_, encoded)] = status.trailing_metadata
    for each in status_pb2.Status.FromString(encoded).details:
        if each.Unpack(kind):
            return kind
    raise AssertionError(f"no {kind.DESCRIPTOR.name} in the status")


def test_r7_a_defect_says_nothing_and_harms_no_other_call(server: InProcessServer, monkeypatch) -> None:
    """R7: an exception that should not exist is INTERNAL without its text, and the server goes on."""

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
        Server([]).bind(server.address)

    with pytest.raises(StartError, match=r"cannot listen on .*taken"):
        server.run(bind())


def held(dao: MemoryDao, part: Any, name: str) -> tuple[threading.Event, threading.Event]:
    """Makes a store operation wait: (it has begun, let it go on)."""
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
    begun, go_on = held(server.dao, server.dao.sessions, "append")
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
    """R20: what arrived before the drain is done, what comes after is refused, and what races is either of the two."""
    server.clickstream.CreateSession(create_request("first"))
    begun, go_on = held(server.dao, server.dao.sessions, "append")
    boundary = server._server._boundary
    arrived = boundary._arrivals

    def send(kind: str) -> list[Any]:
        make = server.clickstream.CreateSession.future
        return [make(create_request(f"{kind}-{number}"), timeout=PATIENCE) for number in range(200)]

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
    """R20: a stream that waits, and one in the middle of its pages, end with UNAVAILABLE: go on elsewhere."""
    server.dao.sessions.append(session_drafts(3))
    server.dao.batches.release("r-1", None, NOW)
    if busy == "waiting":
        server.training.StartTraining(training_pb.StartTrainingRequest(run_id="run-1", batch_ids=["batch-1"]))
        stream = server.training.WatchTrainingRun(training_pb.WatchTrainingRunRequest(run_id="run-1"))
        next(stream)
        server.drain()
    else:
        begun, go_on = held(server.dao, server.dao.sessions, "page")
        request = batch_service_pb2.StreamBatchSessionsRequest(batch_id="batch-1")
        stream = server.batch.StreamBatchSessions(request)
        wait_for(begun.is_set)
        server.drain()
        threading.Timer(0.1, go_on.set).start()
    error = refused(lambda: stream)
    assert (error.code(), reason(error)) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
    assert detail(error, error_details_pb2.RetryInfo).HasField("retry_delay")
