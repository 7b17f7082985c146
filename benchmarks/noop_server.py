"""The upper limit of unary calls in ingest.py: the same stack (grpc.aio on uvloop) with empty handlers.

    python benchmarks/noop_server.py [PROCESSES]

Each process is pinned to a core of its own. PROCESSES is 1 if absent.
"""

import asyncio
import os
import signal
import socket
import sys
from types import FrameType

import grpc
import uvloop
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import (
    ClickstreamServiceServicer,
    add_ClickstreamServiceServicer_to_server,
)
from typing_extensions import override


class EmptyServicer(ClickstreamServiceServicer):
    """Answers every call at once with an empty message."""

    @override
    async def PushEvents(self, request: pb.PushEventsRequest, context: object) -> pb.PushEventsResponse:
        return pb.PushEventsResponse()

    @override
    async def CreateSession(self, request: pb.CreateSessionRequest, context: object) -> pb.CreateSessionResponse:
        return pb.CreateSessionResponse()


async def serve(port: int) -> None:
    """Serves on a port of the loopback interface until SIGTERM."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 1)])
    add_ClickstreamServiceServicer_to_server(EmptyServicer(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(0)


def main(processes: int) -> None:
    """Starts the processes on one free port and waits until SIGTERM has ended them."""
    cores = sorted(os.sched_getaffinity(0))
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        children = []
        for number in range(processes):
            # Forked before gRPC starts any thread, so that all processes are alike.
            if (child := os.fork()) == 0:
                os.sched_setaffinity(0, {cores[number % len(cores)]})
                uvloop.run(serve(port))
                os._exit(0)
            children.append(child)

        def stop(_signal: int, _frame: FrameType | None) -> None:
            for child in children:
                os.kill(child, signal.SIGTERM)

        signal.signal(signal.SIGTERM, stop)
        print(f"listening on 127.0.0.1:{port}", file=sys.stderr, flush=True)
        for child in children:
            os.waitpid(child, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
