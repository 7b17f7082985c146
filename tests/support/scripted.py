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
        self.marked: set[str] = set()
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

    def Ingest(self, requests, context):
        for request in requests:
            response = service.IngestResponse(sequence=request.sequence)
            try:
                if request.HasField("session"):
                    one = service.CreateSessionRequest(session=request.session, historical=request.historical)
                    response.session.created = self.CreateSession(one, _Capturing(context)).created
                else:
                    one = service.PushEventsRequest(
                        session_id=request.events.session_id,
                        events=request.events.events,
                        historical=request.historical,
                    )
                    response.events.outcomes.extend(self.PushEvents(one, _Capturing(context)).outcomes)
            except _RefusedMessage as refused:
                response.failure.CopyFrom(refused.failure)
            yield response

    def MarkSessionIrrelevant(self, request, context):
        self._arrived(request, context)
        self.marked.add(request.session_id)
        return service.MarkSessionIrrelevantResponse()


class _RefusedMessage(Exception):
    def __init__(self, failure: service.IngestFailure) -> None:
        self.failure = failure


_REASONS = {
    code_pb2.NOT_FOUND: "SESSION_NOT_FOUND",
    code_pb2.ALREADY_EXISTS: "CONTENT_CONFLICT",
    code_pb2.INVALID_ARGUMENT: "INVALID_FIELD",
}


class _Capturing:
    """Makes a refused content the failure of one message; any other status ends the whole stream."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context

    def abort(self, code: grpc.StatusCode, words: str) -> None:
        if reason := _REASONS.get(code.value[0]):
            raise _RefusedMessage(service.IngestFailure(reason=f"ERROR_REASON_{reason}", description=words))
        self._context.abort(code, words)

    def abort_with_status(self, status: grpc.Status) -> None:
        if not (reason := _REASONS.get(status.code.value[0])):
            self._context.abort_with_status(status)
        failure = service.IngestFailure(reason=f"ERROR_REASON_{reason}")
        packed = status_pb2.Status.FromString(dict(status.trailing_metadata)["grpc-status-details-bin"])
        for detail in packed.details:
            bad = error_details_pb2.BadRequest()
            if detail.Unpack(bad):
                for violation in bad.field_violations:
                    failure.violations.add(field=violation.field, description=violation.description)
                failure.field, failure.description = failure.violations[0].field, failure.violations[0].description
        raise _RefusedMessage(failure)


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
