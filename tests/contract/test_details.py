"""The details of failed calls, read without the packages that servers read them with."""

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from clickstream.contract import details
from clickstream.contract.statuses import grpc_status
from clickstream.domain.errors import FieldViolation, InvalidArgument, Reason, Unavailable

ERRORS = [
    InvalidArgument([FieldViolation("events[3].type", "is required", Reason.INVALID_FIELD)]),
    Unavailable(Reason.STORE_UNAVAILABLE, "no store", 1.5),
]


def failed(status: Any, **changes: Any) -> grpc.aio.AioRpcError:
    """The error that a client sees of this status, or of a status with other values."""
    values = {"code": status.code, "details": status.details} | changes
    nothing: Any = ()
    return grpc.aio.AioRpcError(values["code"], nothing, status.trailing_metadata, details=values["details"])


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("kind", ["ErrorInfo", "RetryInfo", "BadRequest"])
def test_a_detail_is_read_as_googleapis_reads_it(error: Any, kind: str) -> None:
    """Reason, pause and fields are those that the classes of googleapis-common-protos find; so is an absent detail."""
    call = failed(grpc_status(error))
    theirs = details.detail_of(call, getattr(error_details_pb2, kind))
    own = details.detail_of(call, getattr(details, kind))
    assert (own is None) is (theirs is None)
    if own is not None and theirs is not None:
        for field in own.DESCRIPTOR.fields:
            if field.name == "field_violations":
                fields = [(each.field, each.description) for each in theirs.field_violations]
                assert [(each.field, each.description) for each in own.field_violations] == fields
            else:
                assert str(getattr(own, field.name)) == str(getattr(theirs, field.name))


def test_details_of_another_status_say_nothing() -> None:
    """If a proxy changed the status or its message, the details explain something else."""
    status = grpc_status(ERRORS[1])
    assert details.reason_of(failed(status)) == "STORE_UNAVAILABLE"
    assert details.reason_of(failed(status, code=grpc.StatusCode.INTERNAL)) == ""
    assert details.reason_of(failed(status, details="upstream reset")) == ""
