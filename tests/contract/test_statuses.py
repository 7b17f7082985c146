"""Domain errors to gRPC statuses and back."""

from typing import Any

import grpc
import pytest
from embedding_studio.clickstream.v1 import error_reason_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from clickstream.contract.details import detail_of, reason_of
from clickstream.contract.statuses import STATUS_CODES, defect_status, grpc_status, raise_domain_error
from clickstream.domain import errors as domain
from clickstream.domain.errors import FieldViolation, Reason


def failed(status: Any) -> grpc.aio.AioRpcError:
    """The error that a client sees of this status."""
    nothing: Any = ()
    return grpc.aio.AioRpcError(status.code, nothing, status.trailing_metadata, details=status.details)


def raised(error: grpc.aio.AioRpcError) -> Exception:
    """What a call on the trainer that ends with this error raises."""
    with pytest.raises((domain.ClickstreamError, grpc.RpcError)) as caught:
        raise_domain_error(error)
    return caught.value


def test_the_reasons_are_those_of_the_contract() -> None:
    """The reasons of the code are exactly the values of error_reason.proto but UNSPECIFIED."""
    sent = set(error_reason_pb2.ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}
    assert {f"ERROR_REASON_{reason}" for reason in Reason} == sent
    assert [reason.name for reason in Reason] == [str(reason) for reason in Reason]


@pytest.mark.parametrize("kind", STATUS_CODES)
def test_every_error_carries_its_reason(kind: type[domain.ClickstreamError]) -> None:
    """Each domain error becomes its status with ErrorInfo."""
    violations = [domain.FieldViolation("field", "is bad")]
    error = kind(violations) if kind is domain.InvalidArgument else kind(Reason.DEFECT, "why")  # type: ignore[arg-type]
    status = grpc_status(error)
    assert status.code is STATUS_CODES[kind]
    assert f"ERROR_REASON_{error.reason}".encode() in dict(status.trailing_metadata)["grpc-status-details-bin"]


@pytest.mark.parametrize(
    "error",
    [
        domain.NotFound(Reason.BATCH_NOT_FOUND, "no such batch", {"batch_id": "batch-7"}),
        domain.FailedPrecondition(Reason.STATE_CONFLICT, "it serves", {"serving_model_version_id": ""}),
        domain.ResourceExhausted(Reason.EMBED_QUEUE_FULL, "too many wait", 2.5),
        domain.ResourceExhausted(Reason.LIMIT_EXCEEDED, "too large", 0),
        domain.InvalidArgument(
            [FieldViolation("offset", "is beyond the end", Reason.LIMIT_EXCEEDED), FieldViolation("kind", "is unknown")]
        ),
    ],
    ids=lambda error: f"{error.reason}",
)
def test_an_error_of_the_trainer_arrives_as_it_was_raised(error: domain.ClickstreamError) -> None:
    """The trainer's error is raised with its kind, reason, message, metadata, fields and retry time."""
    found = raised(failed(grpc_status(error)))
    assert type(found) is type(error)
    assert vars(found) == vars(error)


@pytest.mark.parametrize(
    "details",
    [
        b"no protobuf",
        status_pb2.Status(code=code_pb2.INTERNAL, message="another").SerializeToString(),
        b"",
        grpc_status(domain.NotFound(Reason.BATCH_EMPTY, "gone")).trailing_metadata[0][1].replace(b"EMPTY", b"FUTURE"),
    ],
    ids=["garbage", "of another status", "empty", "of a newer version"],
)
def test_an_error_without_known_details_is_an_absent_trainer(details: bytes) -> None:
    """An error with damaged or unknown details is TRAINER_UNAVAILABLE, so that the call is repeated."""
    nothing: Any = ()
    trailers: Any = (("grpc-status-details-bin", details),)
    error = grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, nothing, trailers, details="gone")
    found = raised(error)
    assert isinstance(found, domain.Unavailable)
    assert (found.reason, found.message) == (Reason.TRAINER_UNAVAILABLE, "the trainer: gone")
    assert detail_of(error, error_details_pb2.BadRequest) is None


def test_what_cannot_be_read_of_one_detail_hides_no_other() -> None:
    """A damaged BadRequest is ignored; the reason beside it is still read."""
    status = status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message="no")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="ERROR_REASON_BATCH_EMPTY"))
    status.details.add(type_url="type.googleapis.com/google.rpc.BadRequest", value=b"\xff\xff")
    nothing: Any = ()
    trailers: Any = (("grpc-status-details-bin", status.SerializeToString()),)
    error = grpc.aio.AioRpcError(grpc.StatusCode.FAILED_PRECONDITION, nothing, trailers, details="no")
    assert (reason_of(error), detail_of(error, error_details_pb2.BadRequest)) == ("BATCH_EMPTY", None)
    assert isinstance(raised(error), domain.FailedPrecondition)


def test_a_defect_of_the_trainer_is_no_absence() -> None:
    """A defect of the trainer is not UNAVAILABLE, so that the call is not repeated."""
    error = failed(defect_status())
    assert raised(error) is error


def test_a_pause_below_a_millisecond_is_a_pause() -> None:
    """A caller that is asked to wait for less than RetryInfo shows waits for a millisecond, not for nothing."""
    error = failed(grpc_status(domain.ResourceExhausted(Reason.WRITE_QUEUE_FULL, "too fast", 0.0004, "caller")))
    retry = detail_of(error, error_details_pb2.RetryInfo)
    assert retry is not None
    assert retry.retry_delay.ToMilliseconds() == 1
