"""Unary gRPC load with a body of its own per call, every answer checked.

h2load, the usual tool, sends one body over and over: to a service that deduplicates, that is one
write and then retries. This client writes prepared HTTP/2 frames and reads answers with as little
work as Python allows, so that on a shared machine it takes less of the processor than h2load does.
It asks for an empty header table, so that the trailers of a success are the same bytes every time.
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
# grpc-status: 0 as a literal without a table.
SUCCESS = b"\x0bgrpc-status\x010"
HEAD = struct.Struct(">IBI")


@dataclass
class Outcome:
    """What a load saw: answers, seconds from the first request to the last answer, latencies in seconds."""

    answers: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds

    def percentile(self, share: float) -> float:
        """The latency in milliseconds below which this share of the answers lies."""
        ordered = sorted(self.latencies)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] * 1000


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def _literal(name: str, value: str) -> bytes:
    """A header as HPACK writes it without a table (RFC 7541, 6.2.2); both parts below 127 bytes."""
    return bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


class Connection(asyncio.Protocol):
    """One HTTP/2 connection that keeps `width` calls in flight until there are no more bodies."""

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
        self._held: deque[bytes] = deque()
        self._buffer = b""
        self._began: dict[int, float] = {}
        self.outcome = Outcome()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets the server: no header table, wide windows."""
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
        """Sends up to `count` more calls; `began` is when they were due."""
        out = []
        now = began or time.perf_counter()
        for _ in range(count):
            body = next(self._bodies, None)
            if body is None:
                break
            stream = self._stream
            self._stream += 2
            self._began[stream] = now
            message = b"\0" + struct.pack(">I", len(body)) + body
            head = _frame(HEADERS, END_HEADERS, stream, self._headers)
            self._held.append(
                head
                + b"".join(
                    _frame(DATA, END_STREAM * (at + MAX_FRAME >= len(message)), stream, message[at : at + MAX_FRAME])
                    for at in range(0, len(message), MAX_FRAME)
                )
            )
        while self._held and (size := len(self._held[0])) <= self._window:
            self._window -= size
            out.append(self._held.popleft())
        if out:
            self._transport.write(b"".join(out))
        if not self._began:
            self.idle()

    def idle(self) -> None:
        """Closed loop: when nothing is in flight, nothing is left to send."""
        if not self.done.done():
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Reads frames; every finished call starts the next."""
        data = self._buffer + data
        at, finished, now = 0, 0, time.perf_counter()
        end = len(data)
        try:
            while at + 9 <= end:
                head, flags, stream = HEAD.unpack_from(data, at)
                upto = at + 9 + (head >> 8)
                if upto > end:
                    break
                finished += self._take(head & 0xFF, flags, stream, data[at + 9 : upto], now)
                at = upto
        except ConnectionError as error:
            if not self.done.done():
                self.done.set_exception(error)
            self._transport.close()
            return
        self._buffer = data[at:]
        self.refill(finished)

    def refill(self, finished: int) -> None:
        """Closed loop: as many new calls as ended."""
        if finished or self._held:
            self.send(finished)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes, now: float) -> int:
        if kind == HEADERS:
            if flags & END_STREAM:
                if SUCCESS not in payload:
                    raise ConnectionError(f"not OK: {payload!r}")
                self.outcome.answers += 1
                self.outcome.latencies.append(now - self._began.pop(stream))
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


class Paced(Connection):
    """The same at a fixed rate: a call starts when it is due, whatever still runs."""

    def refill(self, finished: int) -> None:
        """Sends what waits for the server's window; the clock starts calls."""
        if self._held:
            self.send(0)

    def idle(self) -> None:
        """Nothing: the next call comes when it is due."""


async def closed_loop(
    port: int, method: str, bodies: Iterator[bytes], *, connections: int, width: int, expected: bytes | None = None
) -> Outcome:
    """Sends every body, `connections` times `width` in flight; fails on the first answer that is not as expected.

    Raises:
        ConnectionError: an answer was no success, or not the expected bytes.
    """
    loop = asyncio.get_running_loop()
    made = [
        (await loop.create_connection(lambda: Connection(method, bodies, width, expected), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(0.1)
    began = time.perf_counter()
    for connection in made:
        connection.start()
    await asyncio.gather(*(connection.done for connection in made))
    outcome = _together(made, time.perf_counter() - began)
    for connection in made:
        connection._transport.close()
    return outcome


async def at_rate(
    port: int, method: str, bodies: Iterator[bytes], *, rate: float, seconds: float, connections: int
) -> Outcome:
    """Starts `rate` calls a second for so many seconds, and measures each from when it was due."""
    loop = asyncio.get_running_loop()
    made = [
        (await loop.create_connection(lambda: Paced(method, bodies, 0, None), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(0.1)
    began = time.perf_counter()
    sent = 0
    while sent < rate * seconds:
        due = began + sent / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        connection = made[sent % connections]
        if connection.done.done():
            await connection.done
        connection.send(1, due)
        sent += 1
    for _ in range(1000):  # the last answers; those that never come are missing from the outcome
        if not any(connection._began for connection in made):
            break
        await asyncio.sleep(0.01)
    outcome = _together(made, time.perf_counter() - began)
    for connection in made:
        connection.done.cancel()
        connection._transport.close()
    return outcome


def _together(connections: Sequence[Connection], seconds: float) -> Outcome:
    total = Outcome(seconds=seconds)
    for connection in connections:
        total.answers += connection.outcome.answers
        total.latencies += connection.outcome.latencies
    return total
