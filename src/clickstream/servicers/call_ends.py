"""How calls end that are not answered: the errors of the boundary itself, and the status of any error."""

import asyncio
import logging
from typing import Any

import grpc

from clickstream.contract.statuses import defect_status, grpc_status
from clickstream.domain.call_limits import READER_SECONDS
from clickstream.domain.errors import (
    ClickstreamError,
    FieldViolation,
    InvalidArgument,
    Reason,
    ResourceExhausted,
    Unavailable,
)

# A stop lets a caller take the response that is being written, and the status of a cut stream, for so long.
WRITE_SECONDS = 0.5

logger = logging.getLogger(__name__)


def shutting_down() -> Unavailable:
    """A call that comes while the process ends."""
    return Unavailable(Reason.SHUTTING_DOWN, "the server is shutting down; retry on another server")


def request_late() -> InvalidArgument:
    """A queued call whose request does not come."""
    return InvalidArgument([FieldViolation("", "the request did not arrive")])


def too_slow() -> ResourceExhausted:
    """A stream whose caller takes nothing."""
    message = f"no response was taken for {READER_SECONDS:.0f} s; resume the stream where it was"
    return ResourceExhausted(Reason.READER_TOO_SLOW, message, 1.0, "caller")


def busy() -> ResourceExhausted:
    """A call beyond what the process has in hand."""
    return ResourceExhausted(Reason.SERVER_BUSY, "the server has too many calls in hand")


async def abort(context: Any, status: grpc.Status) -> None:
    """Ends a call with a status, and returns: its handler returns None then, and gRPC raises the abort again.

    gRPC keeps the exception of an abort with the call. With the frames that it passed it would keep the call, too,
    until the garbage collector looks, and until then the call would count among the streams of its connection.
    """
    try:
        await context.abort_with_status(status)
    except grpc.aio.AbortError as error:
        error.__traceback__ = error.__context__ = None
    except Exception as error:  # the caller has gone: gRPC would log its own error with a traceback
        raise asyncio.CancelledError from error


async def end_with(context: Any, status: grpc.Status) -> None:
    """Ends a stream with a status. A caller that does not read cannot get it: its connection is reset instead."""
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            await abort(context, status)
    except TimeoutError as error:
        raise asyncio.CancelledError from error


def status_of(error: Exception, method: str) -> grpc.Status:
    """The status that ends a call which failed with this error.

    A call aborts behind its `except` block, and lets go of its request before: gRPC keeps an abort, with the frames
    that it passed and the error that it came from, until the garbage collector looks. A parsed request can take
    fifty times its own size.
    """
    if isinstance(error, ClickstreamError):
        return grpc_status(error)
    if isinstance(error, grpc.aio.AbortError):
        raise error
    logger.exception("defect in %s", method, exc_info=error)
    return defect_status()
