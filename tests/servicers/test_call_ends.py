"""How calls end whose caller has gone."""

import asyncio
from typing import Any

import grpc
import pytest

from clickstream.contract.statuses import grpc_status
from clickstream.domain.errors import NotFound, Reason
from clickstream.servicers.call_ends import abort, end_with

STATUS = grpc_status(NotFound(Reason.BATCH_NOT_FOUND, "no such batch"))


class Call:
    """A call whose abort raises this."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    async def abort_with_status(self, _: Any) -> None:
        """Raises the error."""
        raise self._error


@pytest.mark.parametrize("end", [abort, end_with])
def test_a_caller_that_has_gone_is_no_error_in_the_log(end: Any) -> None:
    """The status cannot be sent then. Any error but a cancellation gRPC would log with a traceback."""
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(end(Call(RuntimeError("Failed grpc_call_start_batch: 8")), STATUS))


def test_an_abort_keeps_no_frame() -> None:
    """The exception that gRPC keeps with the call has no traceback, so the call can end at once."""
    error = grpc.aio.AbortError()
    asyncio.run(abort(Call(error), STATUS))
    assert error.__traceback__ is None
