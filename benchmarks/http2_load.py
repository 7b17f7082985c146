"""A unary gRPC load client: every call has its own body, and every answer is checked.

h2load, the usual tool, sends one body over and over. To a service that deduplicates, that is one write and then
retries. This client writes prepared HTTP/2 frames (RFC 9113) and reads answers with as little work as Python allows, so
that on a shared machine it takes less CPU than h2load. It asks for an empty header table, so that the trailers of a
success are the same bytes every time.
"""

import asyncio
import struct
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
WINDOW = 65_535
MAX_FRAME = 16_384
# `grpc-status: 0` as an HPACK literal without a table.
SUCCESS = b"\x0bgrpc-status\x010"
# Length (24 bits) and type (8), flags, stream id.
FRAME_HEADER = struct.Struct(">IBI")


@dataclass
class Outcome:
    """What a load measured: answers, seconds from the first request to the last answer, latencies in seconds."""

    answers: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds

    def percentile(self, share: float) -> float:
        """The latency in milliseconds that this share (0 to 1) of the answers did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] * 1000


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return FRAME_HEADER.pack(len(payload) << 8 | kind, flags, stream) + payload


def _literal(name: str, value: str) -> bytes:
    """A header as HPACK writes it without a table (RFC 7541, 6.2.2); both parts below 127 bytes."""
    return bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


class Connection(asyncio.Protocol):
    """One HTTP/2 connection that keeps `width` calls in flight until `bodies` is exhausted (a closed loop)."""

    def __init__(self, method: str, bodies: Iterator[bytes], width: int, expected: bytes | None) -> None:
        self._headers = b"".join(
            _literal(name, value)
            for name, value in (
                (":method", "POST"),
                (":scheme", "http"),
                (":path", f"/embedding_studio.clickstream.v1.{method}"),
                (":authority", "localhost"),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
            )
        )
        self._bodies = bodies
        self._width = width
        self._expected = None if expected is None else b"\0" + struct.pack(">I", len(expected)) + expected
        self._stream = 1
        self._window = WINDOW
        self._queued: deque[tuple[int, bytes]] = deque()
        self._buffer = b""
        self._started_at: dict[int, float] = {}
        self.outcome = Outcome()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the preface, with settings for no header table and wide windows."""
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]
        settings = struct.pack(">HIHI", 1, 0, 4, 2**30)
        self._transport.write(
            PREFACE + _frame(SETTINGS, 0, 0, settings) + _frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**30))
        )

    def connection_lost(self, error: Exception | None) -> None:
        """A lost connection fails the load."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))

    def start(self) -> None:
        """Sends the first calls."""
        self.send(self._width)

    def send(self, count: int, began: float | None = None) -> None:
        """Starts up to `count` more calls; their latency counts from `began`, or from now if that is None."""
        out = []
        now = began or time.perf_counter()
        for _ in range(count):
            body = next(self._bodies, None)
            if body is None:
                break
            stream = self._stream
            self._stream += 2
            self._started_at[stream] = now
            message = b"\0" + struct.pack(">I", len(body)) + body
            head = _frame(HEADERS, END_HEADERS, stream, self._headers)
            frames = head + b"".join(
                _frame(DATA, END_STREAM * (at + MAX_FRAME >= len(message)), stream, message[at : at + MAX_FRAME])
                for at in range(0, len(message), MAX_FRAME)
            )
            self._queued.append((len(message), frames))
        # Only the content of DATA frames counts in the window (RFC 9113, 6.9).
        while self._queued and self._queued[0][0] <= self._window:
            size, frames = self._queued.popleft()
            self._window -= size
            out.append(frames)
        if out:
            self._transport.write(b"".join(out))
        if not self._started_at:
            self.on_idle()

    def on_idle(self) -> None:
        """Called when no call is in flight: in a closed loop the load is then done."""
        if not self.done.done():
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Handles the frames that are complete; keeps the rest for the next data."""
        data = self._buffer + data
        at, finished, now = 0, 0, time.perf_counter()
        end = len(data)
        try:
            while at + 9 <= end:
                head, flags, stream = FRAME_HEADER.unpack_from(data, at)
                frame_end = at + 9 + (head >> 8)
                if frame_end > end:
                    break
                finished += self._handle_frame(head & 0xFF, flags, stream, data[at + 9 : frame_end], now)
                at = frame_end
        except ConnectionError as error:
            if not self.done.done():
                self.done.set_exception(error)
            self._transport.close()
            return
        self._buffer = data[at:]
        self.on_finished(finished)

    def on_finished(self, finished: int) -> None:
        """Called after each read: a closed loop starts one call for each finished one."""
        if finished or self._queued:
            self.send(finished)

    def _handle_frame(self, kind: int, flags: int, stream: int, payload: bytes, now: float) -> int:
        if kind == HEADERS:
            if flags & END_STREAM:
                if SUCCESS not in payload:
                    raise ConnectionError(f"not OK: {payload!r}")
                self.outcome.answers += 1
                self.outcome.latencies.append(now - self._started_at.pop(stream))
                return 1
        elif kind == DATA:
            if self._expected is not None and payload != self._expected:
                raise ConnectionError(f"unexpected answer: {payload!r}")
        elif kind == WINDOW_UPDATE:
            if stream == 0:
                self._window += struct.unpack(">I", payload)[0]
        elif kind == SETTINGS:
            if not flags & ACK:
                self._transport.write(_frame(SETTINGS, ACK, 0, b""))
        elif kind == PING:
            if not flags & ACK:
                self._transport.write(_frame(PING, ACK, 0, payload))
        elif kind in (GOAWAY, RST_STREAM):
            raise ConnectionError(f"the server ended the call: frame {kind}, {payload!r}")
        return 0


class PacedConnection(Connection):
    """A connection whose calls are started by a clock, whether or not earlier ones have ended."""

    def on_finished(self, finished: int) -> None:
        """Sends queued calls if the server's window allows; starts no new ones."""
        if self._queued:
            self.send(0)

    def on_idle(self) -> None:
        """Does nothing: the clock starts the next call."""


async def closed_loop(
    port: int, method: str, bodies: Iterator[bytes], *, connections: int, width: int, expected: bytes | None = None
) -> Outcome:
    """Sends every body, with `connections` times `width` calls in flight; stops at the first wrong answer.

    Raises:
        ConnectionError: an answer was not OK, or its body was not `expected`.
    """
    loop = asyncio.get_running_loop()
    connected = [
        (await loop.create_connection(lambda: Connection(method, bodies, width, expected), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(0.1)
    began = time.perf_counter()
    for connection in connected:
        connection.start()
    await asyncio.gather(*(connection.done for connection in connected))
    outcome = _merged(connected, time.perf_counter() - began)
    for connection in connected:
        connection._transport.close()
    return outcome


async def at_rate(
    port: int, method: str, bodies: Iterator[bytes], *, rate: float, seconds: float, connections: int
) -> Outcome:
    """Starts `rate` calls a second for `seconds`; the latency of a call counts from when it was due.

    Calls without an answer within about 10 s of the end are missing from the outcome.
    """
    loop = asyncio.get_running_loop()
    connected = [
        (await loop.create_connection(lambda: PacedConnection(method, bodies, 0, None), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(0.1)
    began = time.perf_counter()
    sent = 0
    while sent < rate * seconds:
        due = began + sent / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        connection = connected[sent % connections]
        if connection.done.done():
            await connection.done
        connection.send(1, due)
        sent += 1
    for _ in range(1000):
        if not any(connection._started_at for connection in connected):
            break
        await asyncio.sleep(0.01)
    outcome = _merged(connected, time.perf_counter() - began)
    for connection in connected:
        connection.done.cancel()
        connection._transport.close()
    return outcome


def _merged(connections: Sequence[Connection], seconds: float) -> Outcome:
    total = Outcome(seconds=seconds)
    for connection in connections:
        total.answers += connection.outcome.answers
        total.latencies += connection.outcome.latencies
    return total
