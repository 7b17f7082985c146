"""The boundary between gRPC and the servicers: parses requests, and turns errors into statuses."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from clickstream.contract.statuses import defect_status, grpc_status
from clickstream.domain import limits
from clickstream.domain.errors import (
    ClickstreamError,
    FieldViolation,
    InvalidArgument,
    Reason,
    ResourceExhausted,
    Unavailable,
)

# A stopping server ends its wait for new calls once none came within QUIET_SECONDS, and after QUIET_CHECKS such
# intervals in any case.
QUIET_SECONDS = 0.1
QUIET_CHECKS = 10

logger = logging.getLogger(__name__)
Context = grpc.aio.ServicerContext[Any, Any]


class Boundary:
    """Stands between gRPC and the servicers, which take parsed requests and raise domain errors.

    It wraps every method once, when the method is registered. An interceptor of gRPC would run again for every
    call, and cost a fifth of a call of 70 µs.
    """

    def __init__(self) -> None:
        self._stopping = False
        self._arrivals = 0
        self._waiting: set[asyncio.Task[Any] | None] = set()

    def wrap(self, handler: Any, method: str) -> Any:
        """Puts the handler of a method behind this boundary; `method` is its name, `Service/Method`."""
        parse = _parser(handler.request_deserializer)
        if inspect.iscoroutinefunction(handler.stream_stream):
            duplex = self._duplex(handler.stream_stream, parse, method)
            return grpc.stream_stream_rpc_method_handler(duplex, None, handler.response_serializer)
        if handler.request_streaming:
            call = self._streaming(handler.stream_stream, lambda requests: _parsed(parse, requests), method)
            return grpc.stream_stream_rpc_method_handler(call, None, handler.response_serializer)
        if handler.response_streaming:
            call = self._streaming(handler.unary_stream, parse, method)
            return grpc.unary_stream_rpc_method_handler(call, None, _same_bytes)
        return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary, parse, method), None, _serialized)

    async def stop(self) -> None:
        """Ends streams and refuses new calls with UNAVAILABLE, until no new call arrives (R20).

        When gRPC's own server stops, calls that it has received and not yet handed over end as CANCELLED, which
        clients do not retry. So this method lets all of them arrive and refuses them first.
        """
        self._stopping = True
        for task in self._waiting:
            if task is not None:
                task.cancel()
        for _ in range(QUIET_CHECKS):
            before = self._arrivals
            await asyncio.sleep(QUIET_SECONDS)
            if self._arrivals == before:
                break

    def _unary(self, behaviour: Callable[..., Any], parse: Callable[[Any], Any], method: str) -> Callable[..., Any]:
        async def call(request: bytes, context: Any) -> Any:
            self._arrivals += 1
            try:
                if self._stopping:
                    raise _shutting_down()
                return await behaviour(parse(request), context)
            except Exception as error:
                status = _status(error, method)
            request = b""
            await context.abort_with_status(status)
            raise AssertionError("abort returned")

        return call

    def _streaming(self, behaviour: Callable[..., Any], parse: Callable[[Any], Any], method: str) -> Callable[..., Any]:
        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            self._arrivals += 1
            try:
                responses = behaviour(parse(request), context)
                while (response := await self._next(responses)) is not _END:
                    yield response
                return
            except Exception as error:
                status = _status(error, method)
            request = responses = response = None
            await context.abort_with_status(status)

        return call

    def _duplex(self, behaviour: Callable[..., Any], parse: Callable[[Any], Any], method: str) -> Callable[..., Any]:
        """Wraps a method that writes its responses itself.

        A stop ends the stream of requests; the method still answers the requests that it has read.
        """

        async def requests(received: AsyncIterator[bytes]) -> AsyncIterator[Any]:
            while (request := await self._next(received)) is not _END:
                yield parse(request)

        async def call(received: Any, context: Any) -> None:
            self._arrivals += 1
            try:
                await behaviour(requests(aiter(received)), context)
                return
            except Exception as error:
                status = _status(error, method)
            await context.abort_with_status(status)

        return call

    async def _next(self, messages: AsyncIterator[Any]) -> Any:
        """The next message of a stream, or `_END`. A stop ends a stream only here, between two messages."""
        task = asyncio.current_task()
        self._waiting.add(task)
        try:
            if not self._stopping:
                return await anext(messages, _END)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._waiting.discard(task)
        raise _shutting_down()


# Stands for the end of a stream.
_END = object()


def _shutting_down() -> Unavailable:
    return Unavailable(Reason.SHUTTING_DOWN, "the server is shutting down; retry on another server")


def _parser(deserializer: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def parse(request: bytes) -> Any:
        if len(request) > limits.REQUEST_BYTES:
            raise ResourceExhausted(
                Reason.LIMIT_EXCEEDED, f"the request has {len(request)} bytes; {limits.REQUEST_BYTES} are allowed", 0
            )
        try:
            return deserializer(request)
        except DecodeError as error:
            raise InvalidArgument([FieldViolation("", "the request is not a valid protobuf message")]) from error

    return parse


def _serialized(response: Message | bytes) -> bytes:
    return response if isinstance(response, bytes) else response.SerializeToString()


def _same_bytes(response: Message | bytes) -> bytes:
    """Serializes with sorted maps; otherwise their order differs from process to process (R14)."""
    return response if isinstance(response, bytes) else response.SerializeToString(deterministic=True)


async def _parsed(parse: Callable[[bytes], Any], requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    async for request in requests:
        yield parse(request)


def _status(error: Exception, method: str) -> grpc.Status:
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
