"""Errors as gRPC statuses, in both directions."""

import pytest
from embedding_studio.clickstream.v1 import error_reason_pb2

from clickstream.contract.statuses import STATUS_CODES, grpc_status
from clickstream.domain import errors as domain
from clickstream.domain.errors import Reason


def test_the_reasons_are_those_of_the_contract() -> None:
    """Every reason of the code is a value of error_reason.proto, and every value but UNSPECIFIED a reason."""
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
