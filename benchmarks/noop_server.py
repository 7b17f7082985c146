"""The limit that unary calls are measured against: the same stack, grpc.aio on uvloop, with empty handlers.

    python benchmarks/noop_server.py [PROCESSES]

Each process is kept on a core of its own, as those of `clickstream serve --processes` are.
"""

import asyncio
import os
import signal
import socket
import sys

import grpc
import uvloop
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import (
    ClickstreamServiceServicer,
    add_ClickstreamServiceServicer_to_server,
)
from typing_extensions import override


class Empty(ClickstreamServiceServicer):
    """Answers at once, with nothing."""

    @override
    async def PushEvents(self, request: pb.PushEventsRequest, context: object) -> pb.PushEventsResponse:
        return pb.PushEventsResponse()

    @override
    async def CreateSession(self, request: pb.CreateSessionRequest, context: object) -> pb.CreateSessionResponse:
        return pb.CreateSessionResponse()


async def serve(port: int) -> None:
    """Serves until it is told to stop."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 1)])
    add_ClickstreamServiceServicer_to_server(Empty(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(0)


def main(processes: int) -> None:
    """Forks, before gRPC starts any thread, so that every process is like the others."""
    cores = sorted(os.sched_getaffinity(0))
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        children = []
        for number in range(processes):
            if (child := os.fork()) == 0:
                os.sched_setaffinity(0, {cores[number % len(cores)]})
                uvloop.run(serve(port))
                os._exit(0)
            children.append(child)
        signal.signal(signal.SIGTERM, lambda *_: [os.kill(child, signal.SIGTERM) for child in children])
        print(f"listening on 127.0.0.1:{port}", file=sys.stderr, flush=True)
        for child in children:
            os.waitpid(child, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
