"""Domain errors to gRPC statuses with `google.rpc` details, and back."""

import math
from typing import NoReturn

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from clickstream.contract.details import PREFIX, detail_of, reason_of
from clickstream.domain import limits
from clickstream.domain.errors import (
    AlreadyExists,
    ClickstreamError,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Reason,
    ResourceExhausted,
    Unauthenticated,
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
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
}

# Errors whose metadata names what they are about; it passes on with the error.
NAMING_ERRORS: dict[grpc.StatusCode, type[NotFound | FailedPrecondition]] = {
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
}


def grpc_status(error: ClickstreamError) -> grpc.Status:
    """The status of a domain error, with ErrorInfo and, if they apply, BadRequest, QuotaFailure or RetryInfo."""
    code = STATUS_CODES[type(error)]
    reason = f"{PREFIX}{error.reason}"
    metadata = {key: short(value) for key, value in error.metadata.items()}
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=reason, domain=ERROR_DOMAIN, metadata=metadata)]
    if isinstance(error, InvalidArgument):
        details.append(_bad_request(error))
    if isinstance(error, ResourceExhausted):
        violation = error_details_pb2.QuotaFailure.Violation(subject=error.subject, description=error.message)
        details.append(error_details_pb2.QuotaFailure(violations=[violation]))
    if isinstance(error, ResourceExhausted | Unavailable) and error.retry_after > 0:
        delay = Duration()
        # Rounded up: 0 would mean that there is nothing to wait for.
        delay.FromMilliseconds(math.ceil(error.retry_after * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return _status(code, error.message, details)


def _bad_request(error: InvalidArgument) -> error_details_pb2.BadRequest:
    """BadRequest with the first violations, up to VIOLATION_BYTES or a little more."""
    named = error_details_pb2.BadRequest()
    for violation in error.violations:
        named.field_violations.add(
            field=short(violation.field),
            description=short(violation.description),
            reason=f"{PREFIX}{violation.reason}",
        )
        if named.ByteSize() > VIOLATION_BYTES:
            break
    return named


def defect_status() -> grpc.Status:
    """The status of an unexpected exception. It says nothing about the exception, which is in the log."""
    info = error_details_pb2.ErrorInfo(reason=f"{PREFIX}{Reason.DEFECT}", domain=ERROR_DOMAIN)
    return _status(grpc.StatusCode.INTERNAL, "a defect of the server; its log has the details", [info])


def _status(code: grpc.StatusCode, message: str, details: list[Message]) -> grpc.Status:
    status = status_pb2.Status(code=code.value[0], message=short(message))
    for detail in details:
        status.details.add().Pack(detail)
    converted: grpc.Status = rpc_status.to_status(status)
    return converted


def short(text: str) -> str:
    """The text, cut at `limits.PATH_BYTES` bytes: an answer need not repeat all that a client sent."""
    encoded = text.encode()
    if len(encoded) <= limits.PATH_BYTES:
        return text
    return encoded[: limits.PATH_BYTES].decode(errors="ignore") + "…"


def raise_domain_error(error: grpc.aio.AioRpcError) -> NoReturn:
    """Raises the domain error behind a failed call of the trainer.

    Raises:
        InvalidArgument, NotFound, FailedPrecondition, ResourceExhausted: As the trainer raised it.
        grpc.aio.AioRpcError: The trainer has a defect; `error` itself is raised.
        Unavailable: The trainer did not answer, or with an error that this version does not know.
    """
    code, reason, message = error.code(), _known(reason_of(error)), error.details() or ""
    request = detail_of(error, error_details_pb2.BadRequest)
    if request and request.field_violations:
        raise InvalidArgument(
            [
                FieldViolation(each.field, each.description, _known(each.reason) or Reason.INVALID_FIELD)
                for each in request.field_violations
            ]
        ) from error
    if reason is Reason.DEFECT:
        raise error
    if reason and code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        retry = detail_of(error, error_details_pb2.RetryInfo)
        seconds = retry.retry_delay.ToTimedelta().total_seconds() if retry else 0.0
        raise ResourceExhausted(reason, message, seconds) from error
    if reason and code in NAMING_ERRORS:
        info = detail_of(error, error_details_pb2.ErrorInfo)
        raise NAMING_ERRORS[code](reason, message, info.metadata if info else None) from error
    raise Unavailable(Reason.TRAINER_UNAVAILABLE, f"the trainer: {message}") from error


def _known(name: str) -> Reason | None:
    """The reason of this name, with or without the enum's prefix; None if this version knows none."""
    short_name = name.removeprefix(PREFIX)
    return Reason(short_name) if short_name in Reason.__members__ else None
