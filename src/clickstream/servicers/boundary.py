"""The boundary between gRPC and the servicers: parses requests, bounds calls, and turns errors into statuses."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from clickstream.contract.statuses import grpc_status
from clickstream.domain import limits
from clickstream.domain.call_limits import READER_SECONDS, RECEIVE_SECONDS, CallLimits
from clickstream.domain.errors import FieldViolation, InvalidArgument, Reason, ResourceExhausted
from clickstream.servicers.access.audit import AuditLog
from clickstream.servicers.access.rate_limits import Share, Shares, address_of
from clickstream.servicers.call_ends import (
    WRITE_SECONDS,
    abort,
    busy,
    end_with,
    request_late,
    shutting_down,
    status_of,
    too_slow,
)
from clickstream.servicers.open_streams import END, SWEEP_SECONDS, OpenStream
from clickstream.servicers.telemetry import CALLER, Telemetry, Watch, kind_of

# A stopping server ends its wait for new calls once none came within QUIET_SECONDS, and after QUIET_CHECKS such
# intervals in any case.
QUIET_SECONDS = 0.1
QUIET_CHECKS = 5
# Streams that keep pages of sessions, or pieces of a model, in memory.
BULK_READS = frozenset(
    (
        *("BatchService/StreamBatchSessions", "TrainingService/StreamTrainingInputs"),
        *("ModelService/StreamModelLineage", "ModelService/DownloadModel", "ModelHostService/ReadModel"),
    )
)
# Messages of a stream from this size on take turns: parsing and checking one takes milliseconds.
TURN_BYTES = 16 * 1024

RECEIVING: ContextVar[set[asyncio.Task[Any]] | None] = ContextVar("receiving", default=None)
"""The calls of the present caller whose requests are still arriving, the present one among them."""

Context = grpc.aio.ServicerContext[Any, Any]
Admit = Callable[[Context], None]


class Boundary:
    """Stands between gRPC and the servicers, which take parsed requests and raise domain errors.

    It wraps every method once, when the method is registered. An interceptor of gRPC would run again for every
    call, and cost a fifth of a call of 70 µs.
    """

    def __init__(
        self, call_limits: CallLimits | None = None, audit: AuditLog | None = None, telemetry: Telemetry | None = None
    ) -> None:
        self._shares = Shares(call_limits or CallLimits())
        self._audit = audit
        self._telemetry = telemetry or Telemetry()
        self._stopping = False
        self._closed = asyncio.Event()
        self._arrivals = 0
        self._in_hand = 0
        self._streams: set[OpenStream] = set()
        self._turn = asyncio.Lock()

    @property
    def shares(self) -> Shares:
        """What each caller has used."""
        return self._shares

    @property
    def in_hand(self) -> int:
        """The number of calls that have not ended."""
        return self._in_hand

    @property
    def open_streams(self) -> int:
        """The number of streams that have not ended."""
        return len(self._streams)

    def wrap(self, handler: Any, method: str, admit: Admit | None = None, watch: Watch | None = None) -> Any:
        """Puts the handler of a method behind this boundary.

        Args:
            handler: As generated code registers it.
            method: The method's name, `Service/Method`.
            admit: Called before a request is parsed; raises what refuses the call.
            watch: Watches the calls; None: one of this boundary's telemetry.
        """
        watch = watch or self._telemetry.of(f"/{method}", kind_of(handler))
        parse = _parser(handler.request_deserializer)
        if handler.request_streaming or handler.response_streaming:
            behaviour = handler.stream_stream or handler.unary_stream
            serve = self._duplex if inspect.iscoroutinefunction(behaviour) else self._streaming
            call = self._stream(serve(behaviour, parse, handler.request_streaming), method, admit, watch)
            if handler.request_streaming:
                return grpc.stream_stream_rpc_method_handler(call, None, None)
            return grpc.unary_stream_rpc_method_handler(call, None, None)
        return grpc.unary_unary_rpc_method_handler(
            self._unary(handler.unary_unary, parse, method, admit, watch), None, None
        )

    async def sweep(self) -> None:
        """Cuts streams that nobody reads, until it is cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for stream in list(self._streams):
                stream.cut_if_unread(READER_SECONDS, too_slow())

    def queued(self, handler: Any, watch: Watch) -> Any:
        """Makes of a wrapped unary method one that receives its request only when its caller's share has room."""
        behaviour = handler.unary_unary

        async def call(_: Any, context: Any) -> None:
            share = self._share(context)  # without a token that of an address: nobody queues behind another one
            request = grpc.aio.EOF  # type: ignore[attr-defined]  # its published types lack it
            try:
                async with share.room:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(RECEIVE_SECONDS):
                            request = await context.read()
            except asyncio.CancelledError:
                watch.refused("CANCELLED")
                raise
            if isinstance(request, bytes):
                # Handed over, not kept: an abort keeps this frame until the garbage collector looks.
                held, request = [request], None
                answer = await behaviour(held.pop(), context)
                if answer is not None:
                    await context.write(answer)
            else:
                error = request_late()
                watch.failed(error)
                watch.ended(watch.began(), context, grpc_status(error).code.name)
                await end_with(context, grpc_status(error))

        return grpc.stream_stream_rpc_method_handler(call, None, None)

    async def stop(self) -> None:
        """Ends streams with UNAVAILABLE and takes no new call, until no new call arrives (R20).

        When gRPC's own server stops, calls that it has received and not yet handed over end as CANCELLED, which
        clients do not retry. So new calls are let in and wait here: a caller that waits for its answer makes no
        further call. `close` then refuses them.
        """
        self._stopping = True
        for stream in list(self._streams):
            stream.cut(shutting_down())
        for _ in range(QUIET_CHECKS):
            before = self._arrivals
            await asyncio.sleep(QUIET_SECONDS)
            if self._arrivals == before:
                break

    async def close(self) -> None:
        """Refuses the calls that came during `stop`, and returns when no call is in hand.

        A stream is cut if its caller does not take a response within WRITE_SECONDS.
        """
        self._closed.set()
        while self._in_hand:
            for stream in list(self._streams):
                stream.cut_if_unread(WRITE_SECONDS, shutting_down())
            await asyncio.sleep(0.01)

    def _share(self, context: Context) -> Share:
        caller = CALLER.get()
        return self._shares.of(caller.name, caller.limits) if caller else self._shares.of(address_of(context.peer()))

    def _unary(
        self, behaviour: Callable[..., Any], parse: Callable[[Any], Any], method: str, admit: Admit | None, watch: Watch
    ) -> Callable[..., Any]:
        audit = self._audit.of(method) if self._audit else None

        async def call(request: bytes, context: Any) -> Any:
            if receiving := RECEIVING.get():
                receiving.discard(asyncio.current_task())
            self._arrivals += 1
            self._in_hand += 1
            parsed, ended, size, began = None, "CANCELLED", -1, watch.began(len(request))
            address = address_of(context.peer()) if audit else ""  # gRPC forgets it when the caller goes away
            try:
                try:
                    if self._stopping:
                        await self._refuse_late()
                    if admit:
                        admit(context)
                    self._share(context).take_call(len(request), self._shares.clock())
                    if self._in_hand > self._shares.limits.calls_in_hand:
                        raise busy()
                    parsed = parse(request)
                    answer = _serialized(await behaviour(parsed, context))
                    ended, size = "OK", len(answer)
                    return answer
                except Exception as error:
                    status = status_of(error, method)
                    ended = status.code.name
                    watch.failed(error)
                finally:
                    watch.ended(began, context, ended, size)
                    if audit:
                        audit(CALLER.get(), address, parsed, ended)
                request, parsed = b"", None
                await abort(context, status)
                return None
            finally:
                self._in_hand -= 1

        return call

    async def _refuse_late(self) -> None:
        await self._closed.wait()
        raise shutting_down()

    def _stream(
        self, serve: Callable[[Any, OpenStream], Any], method: str, admit: Admit | None, watch: Watch
    ) -> Callable[[Any, Any], Any]:
        """A method with a stream, from its call to its status."""
        audit = self._audit.of(method) if self._audit else None

        async def call(request: Any, context: Any) -> None:
            self._arrivals += 1
            self._in_hand += 1
            stream: OpenStream | None = None
            ended, began = "CANCELLED", watch.began()
            address = address_of(context.peer()) if audit else ""
            try:
                try:
                    if self._stopping:
                        await self._refuse_late()
                    if admit:
                        admit(context)
                    with self._opened(request, context, method, watch) as stream:
                        await serve(request, stream)
                    ended = "OK"
                    return
                except Exception as error:
                    status = status_of(error, method)
                    ended = status.code.name
                    watch.failed(error)
                finally:
                    watch.ended(began, context, ended)
                    if audit:
                        audit(CALLER.get(), address, stream.first if stream else None, ended)
                request = stream = None
                await end_with(context, status)
            finally:
                self._in_hand -= 1

        return call

    @contextlib.contextmanager
    def _opened(self, request: Any, context: Context, method: str, watch: Watch) -> Iterator[OpenStream]:
        share, bulk = self._share(context), method in BULK_READS
        share.take_call(len(request) if isinstance(request, bytes) else 0, self._shares.clock())
        if share.streams >= share.most_streams:
            raise ResourceExhausted(
                Reason.STREAMS_EXCEEDED, f"one caller may have {share.streams} streams open", 1.0, share.name
            )
        if bulk and share.bulk_reads >= self._shares.limits.bulk_reads:
            message = f"one caller may have {share.bulk_reads} streams of this kind open"
            raise ResourceExhausted(Reason.STREAMS_EXCEEDED, message, 1.0, share.name)
        if self._in_hand > self._shares.limits.calls_in_hand:
            raise busy()
        stream = OpenStream(share, self._shares, context, watch.figures)
        if isinstance(request, bytes):
            stream.took(len(request))
        share.streams += 1
        share.bulk_reads += bulk
        self._streams.add(stream)
        try:
            yield stream
        finally:
            share.streams -= 1
            share.bulk_reads -= bulk
            self._streams.discard(stream)

    def _streaming(
        self, behaviour: Callable[..., Any], parse: Callable[[Any], Any], takes_stream: bool
    ) -> Callable[[Any, OpenStream], Any]:
        """A method that yields its responses. A stop ends it between two of them."""

        async def serve(request: Any, stream: OpenStream) -> None:
            asked = _parsed(parse, aiter(request), stream) if takes_stream else stream.note(parse(request))
            responses = behaviour(asked, stream.context)
            try:
                while (response := await stream.next(responses)) is not END:
                    await stream.write(response)
            finally:
                await responses.aclose()

        return serve

    async def _in_turn(self, parse: Callable[[Any], Any], requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        """Parses requests. Of all streams' large ones, one is parsed before other calls get their turn."""
        async for request in requests:
            if len(request) < TURN_BYTES:
                yield parse(request)
                continue
            async with self._turn:
                message = parse(request)
                await asyncio.sleep(0)
            yield message

    def _duplex(
        self, behaviour: Callable[..., Any], parse: Callable[[Any], Any], _: bool
    ) -> Callable[[Any, OpenStream], Any]:
        """A method that reads requests and writes its responses itself, to what it is given as context.

        A stop ends the stream of requests; the method still answers the requests that it has read.
        """

        async def serve(received: Any, stream: OpenStream) -> None:
            await behaviour(self._in_turn(parse, stream.received(aiter(received))), stream)

        return serve


def _parser(deserializer: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def parse(request: bytes) -> Any:
        if len(request) > limits.REQUEST_BYTES:
            allowed = f"the request has {len(request)} bytes; {limits.REQUEST_BYTES} are allowed"
            raise InvalidArgument([FieldViolation("", allowed, Reason.LIMIT_EXCEEDED)])
        try:
            return deserializer(request)
        except DecodeError as error:
            raise InvalidArgument([FieldViolation("", "the request is not a valid protobuf message")]) from error

    return parse


def _serialized(response: Message | bytes) -> bytes:
    return response if isinstance(response, bytes) else response.SerializeToString()


async def _parsed(
    parse: Callable[[bytes], Any], requests: AsyncIterator[bytes], stream: OpenStream
) -> AsyncIterator[Any]:
    async for request in requests:
        await stream.pace(len(request))
        yield stream.note(parse(request))
