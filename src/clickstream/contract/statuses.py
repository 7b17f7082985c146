"""Domain errors → gRPC status with `google.rpc` details."""

from typing import NoReturn

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from clickstream.domain import limits
from clickstream.domain.errors import (
    AlreadyExists,
    ClickstreamError,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    Reason,
    ResourceExhausted,
    Unavailable,
)

ERROR_DOMAIN = "clickstream.embedding_studio"
# A status travels in HTTP/2 trailers, of which clients accept 8 KiB; the details go in base64.
VIOLATION_BYTES = 4_000

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
    metadata = {key: short(value) for key, value in error.metadata.items()}
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=reason, domain=ERROR_DOMAIN, metadata=metadata)]
    if isinstance(error, InvalidArgument):
        details.append(_bad_request(error))
    if isinstance(error, ResourceExhausted):
        violation = error_details_pb2.QuotaFailure.Violation(subject="server", description=error.message)
        details.append(error_details_pb2.QuotaFailure(violations=[violation]))
    if isinstance(error, ResourceExhausted | Unavailable) and error.retry_after > 0:
        delay = Duration()
        delay.FromMilliseconds(int(error.retry_after * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return _status(code, error.message, details)


def _bad_request(error: InvalidArgument) -> error_details_pb2.BadRequest:
    """The first violations, as many as trailers can carry."""
    named = error_details_pb2.BadRequest()
    for violation in error.violations:
        named.field_violations.add(
            field=short(violation.field),
            description=short(violation.description),
            reason=f"ERROR_REASON_{violation.reason}",
        )
        if named.ByteSize() > VIOLATION_BYTES:
            break
    return named


def defect_status() -> grpc.Status:
    """The status of an exception that should not exist. Says nothing about it: the log does."""
    info = error_details_pb2.ErrorInfo(reason="ERROR_REASON_DEFECT", domain=ERROR_DOMAIN)
    return _status(grpc.StatusCode.INTERNAL, "a defect of the server; its log has the details", [info])


def _status(code: grpc.StatusCode, message: str, details: list[Message]) -> grpc.Status:
    status = status_pb2.Status(code=code.value[0], message=short(message))
    for detail in details:
        status.details.add().Pack(detail)
    converted: grpc.Status = rpc_status.to_status(status)
    return converted


def short(text: str) -> str:
    """The text, cut where it holds more than a message needs of what a client sent."""
    encoded = text.encode()
    if len(encoded) <= limits.PATH_BYTES:
        return text
    return encoded[: limits.PATH_BYTES].decode(errors="ignore") + "…"


ERRORS: dict[grpc.StatusCode, type[ClickstreamError]] = {
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
}


def raise_domain_error(error: grpc.aio.AioRpcError) -> NoReturn:
    """Raises the domain error that the other side raised."""
    message = error.details() or ""
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    status = rpc_status.from_call(error)
    for packed in status.details if status else ():
        packed.Unpack(info)
        packed.Unpack(request)
    reason = info.reason.removeprefix("ERROR_REASON_")
    if request.field_violations:
        raise InvalidArgument(
            [
                FieldViolation(each.field, each.description, each.reason.removeprefix("ERROR_REASON_"))
                for each in request.field_violations
            ]
        ) from error
    if reason and error.code() in ERRORS:
        raise ERRORS[error.code()](reason, message) from error
    raise Unavailable(Reason.STORE_UNAVAILABLE, f"the machine of the models: {message}") from error
