"""A server in memory whose faults a test chooses."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as service
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import (
    ClickstreamServiceServicer,
    add_ClickstreamServiceServicer_to_server,
)
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

Fault = Callable[[object, grpc.ServicerContext], None]


class InMemoryService(ClickstreamServiceServicer):
    """Stores as the contract demands. `faults` run before each call and may end it; `outcomes` replace its answer."""

    def __init__(self) -> None:
        self.sessions: dict[str, service.CreateSessionRequest] = {}
        self.events: dict[tuple[str, str], object] = {}
        self.pushes: list[service.PushEventsRequest] = []
        self.faults: list[Fault] = []
        self.outcomes: list[service.EventOutcome] = []
        # Every request that arrived, also if a fault ended its call.
        self.requests: list[object] = []

    def _arrived(self, request, context):
        self.requests.append(request)
        for fault in self.faults:
            fault(request, context)

    def CreateSession(self, request, context):
        self._arrived(request, context)
        kept = self.sessions.setdefault(request.session.session_id, request)
        if kept != request:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "other content")
        return service.CreateSessionResponse(created=kept is request)

    def GetSession(self, request, context):
        response = service.GetSessionResponse()
        response.stored_session.session.CopyFrom(self.sessions[request.session_id].session)
        return response

    def PushEvents(self, request, context):
        self._arrived(request, context)
        if request.session_id not in self.sessions:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such session")
        self.pushes.append(request)
        if self.outcomes:
            return service.PushEventsResponse(outcomes=self.outcomes)
        codes = []
        for event in request.events:
            kept = self.events.setdefault((request.session_id, event.event_id), event)
            same = "CODE_DUPLICATE" if kept == event else "CODE_CONFLICT"
            codes.append("CODE_ACCEPTED" if kept is event else same)
        return service.PushEventsResponse(outcomes=[service.EventOutcome(code=code) for code in codes])


@contextmanager
def serving(
    service: InMemoryService, port: int = 0, credentials: grpc.ServerCredentials | None = None
) -> Iterator[str]:
    """Serves it on loopback, by default on a free port; yields the address."""
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
    add_ClickstreamServiceServicer_to_server(service, server)
    address = f"127.0.0.1:{port}"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def refuse(context: grpc.ServicerContext, code: int, reason: str, *fields: str, delay: float = 0) -> None:
    """Ends a call as the server does: with ErrorInfo, and for fields a BadRequest, for a delay a RetryInfo."""
    details = [any_pb2.Any()]
    details[0].Pack(error_details_pb2.ErrorInfo(reason=reason))
    if fields:
        bad = error_details_pb2.BadRequest()
        for field in fields:
            bad.field_violations.add(field=field, description="is too long")
        details.append(any_pb2.Any())
        details[1].Pack(bad)
    if delay:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(int(delay * 1000))
        details.append(any_pb2.Any())
        details[-1].Pack(retry)
    context.abort_with_status(rpc_status.to_status(status_pb2.Status(code=code, message="refused", details=details)))


def first(times: int, code: int = code_pb2.UNAVAILABLE, reason: str = "STORE_UNAVAILABLE") -> Fault:
    """A fault that ends the first `times` calls only."""
    left = iter(range(times))

    def fault(request: object, context: grpc.ServicerContext) -> None:
        if next(left, None) is not None:
            refuse(context, code, f"ERROR_REASON_{reason}")

    return fault
