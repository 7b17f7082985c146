"""What TLS and a token cost: the serving process's CPU per call and per streamed message, with and without them.

    python benchmarks/door_cost.py

Starts an embedded MongoDB in a temporary folder, and two servers of this tree: one in plain text that everybody may
call, one with TLS and a token file. Every round measures each work with both, one right after the other, in
alternating order, by grpcio's asyncio client. The servers share one core; this client and MongoDB share another.
"""

import argparse
import asyncio
import hashlib
import os
import statistics
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from ingest_load import click
from measuring import cpu_seconds, machine_and_versions, median_interval, pin, server_process, write_table

from clickstream.dao.embedded_mongod import EmbeddedMongo

TOKEN = "cs_benchmark"
METADATA = (("authorization", f"Bearer {TOKEN}"),)
CALLS, IN_FLIGHT, MESSAGES = 2_000, 32, 600
Channel = grpc.aio.Channel


class Numbers:
    """Numbers that were not used before."""

    last = 0

    @classmethod
    def take(cls, count: int) -> Iterator[int]:
        """The next `count` numbers."""
        cls.last += count
        return iter(range(cls.last - count, cls.last))


async def create(channel: Channel, count: int) -> None:
    """Registers sessions of 50 results."""
    await unary(ClickstreamServiceStub(channel).CreateSession, [session(number) for number in Numbers.take(count)])


def session(number: int) -> pb.CreateSessionRequest:
    """A session of 50 results."""
    request = pb.CreateSessionRequest()
    request.session.session_id = f"s-{number}"
    request.session.query = "red shoes"
    for index in range(50):
        request.session.results.add(object_id=f"o-{index}").meta["title"] = f"Title {index}"
    return request


async def push(channel: Channel, count: int) -> None:
    """Pushes events, one in each call, to one session."""
    stub = ClickstreamServiceStub(channel)
    first = session(next(Numbers.take(1)))
    await stub.CreateSession(first, metadata=METADATA)
    requests = [
        pb.PushEventsRequest(session_id=first.session.session_id, events=[click(number)])
        for number in Numbers.take(count)
    ]
    await unary(stub.PushEvents, requests)


async def unary(method: Callable[..., Awaitable[Any]], requests: list[Any]) -> None:
    """Makes the calls, IN_FLIGHT at a time."""
    waiting = iter(requests)

    async def loop() -> None:
        for request in waiting:
            await method(request, metadata=METADATA)

    await asyncio.gather(*(loop() for _ in range(IN_FLIGHT)))


async def ingest(channel: Channel, count: int) -> None:
    """Streams messages of 100 events."""
    stub = ClickstreamServiceStub(channel)
    first = session(next(Numbers.take(1)))
    await stub.CreateSession(first, metadata=METADATA)

    async def messages() -> Any:
        for sequence in range(1, count + 1):
            events = pb.EventList(session_id=first.session.session_id, events=map(click, Numbers.take(100)))
            yield pb.IngestRequest(sequence=sequence, events=events)

    answered = 0
    async for answer in stub.Ingest(messages(), metadata=METADATA):
        assert answer.events.accepted_count == 100, answer
        answered += 1
    assert answered == count


WORKS: dict[str, tuple[Callable[[Channel, int], Awaitable[None]], int, float]] = {
    "CreateSession, 50 results": (create, CALLS, 1.2),
    "PushEvents, 1 event": (push, CALLS, 1.2),
    "Ingest, a message of 100 events": (ingest, MESSAGES, 1.15),
}
"""What the table calls a work → the work, the number of its units, and the target of the ratio."""


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate of 127.0.0.1 and its key, by openssl."""
    pem, key = folder / "server.pem", folder / "server.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-keyout", str(key), "-out", str(pem), "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    return pem, key


async def measured(
    work: Callable[[Channel, int], Awaitable[None]], units: int, address: str, pid: int, authority: bytes | None
) -> float:
    """Microseconds of the server's CPU per unit."""
    credentials = grpc.ssl_channel_credentials(authority) if authority else None
    opened = grpc.aio.secure_channel(address, credentials) if credentials else grpc.aio.insecure_channel(address)
    async with opened as channel:
        await channel.channel_ready()
        before = cpu_seconds(pid)
        await work(channel, units)
        return (cpu_seconds(pid) - before) / units * 1e6


def run(rounds: int, output: Path) -> None:
    """Measures everything and writes the table."""
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pem, key = certificate(data)
        tokens = data / "tokens.toml"
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        tokens.write_text(f'[[token]]\nname = "benchmark"\nsha256 = "{digest}"\nscopes = ["client"]\n')
        mongo = EmbeddedMongo(data / "mongodb", 1.0)
        mongo.start()
        stack.callback(mongo.stop)
        pin(0, cores[-1])
        pin(mongo.pid, cores[-1])
        environment = {"MONGODB_URI": mongo.uri, "CLICKSTREAM_RUN_TRAINING": "false", "CLICKSTREAM_DATABASE": "plain"}
        command = ("-m", "clickstream", "serve", "--listen", "127.0.0.1:0", "--data-dir", str(data))
        safe = ("--tokens", str(tokens), "--tls-cert", str(pem), "--tls-key", str(key))
        plain = stack.enter_context(server_process(cores[0], *command, **environment))
        environment["CLICKSTREAM_DATABASE"] = "safe"
        secure = stack.enter_context(server_process(cores[0], *command, *safe, **environment))
        servers = [(*plain, None), (*secure, pem.read_bytes())]
        cpu: dict[str, list[list[float]]] = {name: [[], []] for name in WORKS}
        for number in range(rounds + 1):
            for name, (work, units, _) in WORKS.items():
                for which in (0, 1) if number % 2 else (1, 0):
                    cpu[name][which].append(asyncio.run(measured(work, units, *servers[which])))
                print(number, name, *(f"{values[-1]:.1f}" for values in cpu[name]), flush=True)
    lines = []
    for name, (_, _, target) in WORKS.items():
        values = [each[1:] for each in cpu[name]]  # the first round warms up
        ratios = [safe / open_ for open_, safe in zip(*values, strict=True)]
        low, high = median_interval(ratios)
        ratio = f"{statistics.median(ratios):.3f} ({low:.3f} to {high:.3f})"
        lines.append([name, *(f"{statistics.median(each):.1f}" for each in values), ratio, f"{target}"])
    text = f"""User and system CPU time of the serving process, in µs per call or message: medians of {rounds} rounds \
after one to warm up, both servers in turn; a ratio is the median of the ratios within a round, with an interval that \
contains the true median with a probability of at least 95 %. TLS 1.3 with a P-256 certificate; the token is checked \
at every call. {IN_FLIGHT} calls in flight on one connection. Made by `benchmarks/door_cost.py`.

{machine_and_versions("grpcio")}"""
    columns = ["work", "plain text, no tokens", "TLS and a token", "ratio: median (interval)", "target"]
    write_table(output, "What TLS and a token cost", text, columns, lines)
    print(output.read_text())


def main() -> None:
    """Parses the arguments and runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12, help="at least 6")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "door_cost.md")
    arguments = parser.parse_args()
    run(arguments.rounds, arguments.out)


if __name__ == "__main__":
    main()
