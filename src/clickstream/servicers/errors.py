"""Domain errors → gRPC status with `google.rpc` details."""

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from clickstream.errors import (
    AlreadyExists,
    ClickstreamError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)

ERROR_DOMAIN = "clickstream.embedding_studio"
# A status travels in HTTP/2 trailers, of which clients accept 8 KiB.
NAMED_VIOLATIONS = 20
TEXT_CHARACTERS = 120

STATUS_CODES: dict[type[ClickstreamError], grpc.StatusCode] = {
    InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
}


def grpc_status(error: ClickstreamError) -> grpc.Status:
    """The status of a domain error: ErrorInfo always, and BadRequest, QuotaFailure or RetryInfo where they apply."""
    code = STATUS_CODES[type(error)]
    reason = f"ERROR_REASON_{error.reason}"
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=reason, domain=ERROR_DOMAIN, metadata=error.metadata)]
    if isinstance(error, InvalidArgument):
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=_short(violation.field),
                        description=_short(violation.description),
                        reason=f"ERROR_REASON_{violation.reason}",
                    )
                    for violation in error.violations[:NAMED_VIOLATIONS]
                ]
            )
        )
    if isinstance(error, ResourceExhausted):
        violation = error_details_pb2.QuotaFailure.Violation(subject="server", description=error.message)
        details.append(error_details_pb2.QuotaFailure(violations=[violation]))
    if isinstance(error, ResourceExhausted | Unavailable) and error.retry_after > 0:
        delay = Duration()
        delay.FromMilliseconds(int(error.retry_after * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return _status(code, error.message, details)


def defect_status() -> grpc.Status:
    """The status of an exception that should not exist. Says nothing about it: the log does."""
    info = error_details_pb2.ErrorInfo(reason="ERROR_REASON_DEFECT", domain=ERROR_DOMAIN)
    return _status(grpc.StatusCode.INTERNAL, "a defect of the server; its log has the details", [info])


def _status(code: grpc.StatusCode, message: str, details: list[Message]) -> grpc.Status:
    status = status_pb2.Status(code=code.value[0], message=_short(message))
    for detail in details:
        status.details.add().Pack(detail)
    converted: grpc.Status = rpc_status.to_status(status)
    return converted


def _short(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS else text[: TEXT_CHARACTERS - 1] + "…"
