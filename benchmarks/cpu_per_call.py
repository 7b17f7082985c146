"""The serving process's CPU per call, of this tree and of an earlier version's, measured in turn.

    python benchmarks/cpu_per_call.py --before FOLDER     # a checkout of the earlier version, whose own code serves
    python benchmarks/cpu_per_call.py                     # this tree alone

Starts an embedded MongoDB in a temporary folder, and `clickstream serve` of each version on a database of its own.
Every round measures each work with both versions, one right after the other, in alternating order. The servers share
one core; this client and MongoDB share another. Answers differ between versions, so the documents stored are counted
instead.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from embedding_studio.clickstream.v1 import batch_service_pb2
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from ingest_load import CREATE, PUSH, acknowledgements, click, ingest_messages, push_requests, send_unary
from ingest_load import session_requests as create_requests
from measuring import (
    cpu_seconds,
    machine_and_versions,
    median_and_spread,
    median_interval,
    pin,
    server_process,
    write_table,
)
from pymongo.database import Database
from read import EVENTS, PAGE_SIZE, read_pages, read_stream, shop_session

from clickstream.client.calls import batch_stub
from clickstream.contract.sessions import all_accepted
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document, connect

THIS_TREE = Path(__file__).parent.parent
BEFORE, AFTER = "before", "after"
IN_FLIGHT = 64
# Each keeps a server busy for about half a second.
CREATE_CALLS, PUSH_CALLS, INGEST_EVENTS = 2_000, 4_000, 60_000
READ_SESSIONS, READS = 2_000, 4
# Prints the files of the code, and of the contract, that a version serves with.
WHERE = """
import clickstream
from embedding_studio.clickstream.v1 import session_pb2
print(clickstream.__file__, session_pb2.__file__)
"""


@dataclass(frozen=True)
class Version:
    """The running server of one version, and the database that it writes to."""

    address: str
    pid: int
    database: Database[Document]

    def count(self, collection: str) -> int:
        """The number of documents in a collection; 0 if it is unnamed."""
        return self.database[collection].estimated_document_count() if collection else 0


@dataclass
class Work:
    """One line of the table, and its microseconds of CPU per unit: by version, one per round.

    `prepare` makes the requests for a server's address, and returns the function that sends them; this returns the
    number of units. Each unit stores `documents` in `collection`.
    """

    name: str
    unit: str
    prepare: Callable[[str], Callable[[], int]]
    collection: str = ""
    documents: int = 0
    cpu: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, name: str, version: Version) -> None:
        """Measures a version once.

        Raises:
            RuntimeError: not everything that was sent is stored.
        """
        send = self.prepare(version.address)
        stored, began = version.count(self.collection), cpu_seconds(version.pid)
        units = send()
        used = cpu_seconds(version.pid) - began
        if version.count(self.collection) - stored != units * self.documents:
            raise RuntimeError(f"{self.name}, {name}: not everything was stored")
        self.cpu.setdefault(name, []).append(used / units * 1e6)

    def cells(self) -> list[str]:
        """The cells of the line in the table."""
        spreads = [median_and_spread(of_version, 1) for of_version in self.cpu.values()]
        if BEFORE not in self.cpu:
            return [self.name, self.unit, *spreads]
        ratios = [new / old for old, new in zip(self.cpu[BEFORE], self.cpu[AFTER], strict=True)]
        low, high = median_interval(ratios)
        return [self.name, self.unit, *spreads, f"{statistics.median(ratios):.3f} ({low:.3f} to {high:.3f})"]


def create(results: int) -> Work:
    """CreateSession with this number of results, each with metadata."""

    def prepare(address: str) -> Callable[[], int]:
        bodies = create_requests(CREATE_CALLS, results)
        return lambda: send_unary(address, CREATE, bodies, IN_FLIGHT, None).answers

    return Work(f"CreateSession, {results} results with meta", "call", prepare, "sessions", 1)


def push(events: int) -> Work:
    """PushEvents with this number of events."""

    def prepare(address: str) -> Callable[[], int]:
        bodies = push_requests(address, PUSH_CALLS // (1 if events == 1 else 2), events)
        return lambda: send_unary(address, PUSH, bodies, IN_FLIGHT, all_accepted(events)).answers

    return Work(f"PushEvents, {events} event{'s' if events > 1 else ''}", "call", prepare, "session_events", events)


def ingest(events: int) -> Work:
    """An Ingest stream with this number of events per message."""

    def prepare(address: str) -> Callable[[], int]:
        messages = list(ingest_messages(address, INGEST_EVENTS, events))

        def send() -> int:
            with grpc.insecure_channel(address) as channel:
                return events * sum(1 for _ in acknowledgements(channel, messages))

        return send

    return Work(f"Ingest, {events:,} events per message", "event", prepare, "session_events", 1)


def stream() -> Work:
    """The whole batch from StreamBatchSessions; the client leaves the sessions encoded."""

    def prepare(address: str) -> Callable[[], int]:
        def send() -> int:
            with grpc.insecure_channel(address) as channel:
                return sum(read_stream(channel, None) for _ in range(READS))

        return send

    return Work("StreamBatchSessions", "session", prepare)


def pages() -> Work:
    """The whole batch page by page."""

    def prepare(address: str) -> Callable[[], int]:
        def send() -> int:
            with grpc.insecure_channel(address) as channel:
                return sum(read_pages(channel, READ_SESSIONS) for _ in range(READS)) // PAGE_SIZE

        return send

    return Work(f"GetBatchSessions, page of {PAGE_SIZE}", "page", prepare)


def fill(address: str) -> None:
    """Registers the sessions that are read, with their events, and releases their batch: later ones go to the next."""
    sessions = [shop_session(number) for number in range(1, READ_SESSIONS + 1)]
    created = [pb.CreateSessionRequest(session=session).SerializeToString() for session in sessions]
    send_unary(address, CREATE, created, IN_FLIGHT, None)
    pushed = [
        pb.PushEventsRequest(session_id=session.session_id, events=map(click, range(EVENTS))).SerializeToString()
        for session in sessions
    ]
    send_unary(address, PUSH, pushed, IN_FLIGHT, all_accepted(EVENTS))
    with grpc.insecure_channel(address) as channel:
        batch_stub(channel).ReleaseBatch(batch_service_pb2.ReleaseBatchRequest(release_id="read", batch_id="batch-1"))


def environment_of(folder: Path) -> dict[str, str]:
    """The environment in which Python runs the code of a checkout.

    Raises:
        SystemExit: Python finds the code elsewhere.
    """
    folder = folder.resolve()
    environment = {"PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder / 'generated'}"}
    command = [sys.executable, "-c", WHERE]
    found = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    if found.returncode or not all(place.startswith(f"{folder}/") for place in found.stdout.split()):
        raise SystemExit(f"{folder} is no checkout: {found.stdout}{found.stderr}")
    return environment


def commit(folder: Path) -> str:
    """The commit of a checkout, marked `-dirty` if its code differs from that."""
    command = ["git", "-C", str(folder), "describe", "--always", "--exclude=*", "--abbrev=7", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def start(folders: dict[str, Path], stack: ExitStack, *, workers: bool) -> dict[str, Version]:
    """Starts MongoDB and a filled server of each checkout, and a worker beside each; the stack ends them."""
    server_core, client_core = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
    data = stack.enter_context(tempfile.TemporaryDirectory())
    mongo = EmbeddedMongo(Path(data) / "mongodb", cache_gb=1.0)
    mongo.start()
    stack.callback(mongo.stop)
    client = stack.enter_context(connect(mongo.uri, timeout=20))
    pin(0, client_core)
    pin(mongo.pid, client_core)
    serve = ("-m", "clickstream", "serve", "--listen", "127.0.0.1:0", "--data-dir", data)
    versions = {}
    for name, folder in folders.items():
        environment = {"MONGODB_URI": mongo.uri, "CLICKSTREAM_DATABASE": name, "CLICKSTREAM_RUN_TRAINING": "false"}
        environment |= environment_of(folder)
        address, pid = stack.enter_context(server_process(server_core, *serve, **environment))
        if workers:
            beside = {**environment, "CLICKSTREAM_TRAINER": "127.0.0.1:1"}
            worker = subprocess.Popen([sys.executable, "-m", "clickstream", "worker"], env=os.environ | beside)
            stack.callback(worker.wait)
            stack.callback(worker.terminate)
            pin(worker.pid, client_core)
        fill(address)
        versions[name] = Version(address, pid, client[name])
    return versions


def measure(works: list[Work], versions: dict[str, Version], rounds: int) -> None:
    """Measures every work with every version, round after round; the first round only warms up."""
    for number in range(rounds + 1):
        for work in works:
            for name in list(versions)[:: -1 if number % 2 else 1]:
                work.measure(name, versions[name])
            shown = ", ".join(f"{name} {work.cpu[name][-1]:.1f}" for name in versions)
            print(f"round {number}: {work.name}: {shown}", file=sys.stderr)
            if number == 0:
                work.cpu = {name: [] for name in versions}


def run(before: Path | None, rounds: int, output: Path, *, workers: bool) -> None:
    """Measures everything and writes the table."""
    folders = ({BEFORE: before} if before else {}) | {AFTER: THIS_TREE}
    works = [create(50), create(10), push(1), push(10), ingest(100), ingest(1_000), stream(), pages()]
    explanation = text(rounds, folders)  # names the commits, which may be other ones when all is measured
    with ExitStack() as stack:
        measure(works, start(folders, stack, workers=workers), rounds)
    columns = ["work", "per", *(f"{name}: CPU µs, median (range)" for name in folders)]
    if before:
        columns.append("after / before: median (interval)")
    write_table(output, "CPU per call", explanation, columns, [work.cells() for work in works])
    print(output.read_text())


def text(rounds: int, folders: dict[str, Path]) -> str:
    """The text below the table."""
    commits = ", ".join(f"{name} is {commit(folder)}" for name, folder in folders.items())
    return f"""User and system CPU time of the serving process; {commits}. {rounds} rounds after one to warm up, the \
versions in turn. A ratio is the median of the ratios within a round; the interval contains the true median with a \
probability of at least 95 %. Unary calls: {CREATE_CALLS:,} sessions or up to {PUSH_CALLS:,} pushes per measurement, \
{IN_FLIGHT} in flight. Ingest: {INGEST_EVENTS:,} events. Reads: a batch of {READ_SESSIONS:,} sessions of 50 results \
with {EVENTS} events each, {READS} times. The servers share one core; the client and mongod share another. Made by \
`benchmarks/cpu_per_call.py`.

{machine_and_versions("grpcio", "protobuf", "pymongo", "uvloop")} MongoDB: the embedded one, writes acknowledged by \
the majority with the journal."""


def main() -> None:
    """Parses the arguments and runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="a checkout of the earlier version; without it, this tree alone")
    parser.add_argument("--rounds", type=int, default=16, help="at least 6 with --before")
    parser.add_argument("--workers", action="store_true", help="run `clickstream worker` of each version beside it")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "cpu_per_call.md")
    arguments = parser.parse_args()
    if arguments.before and arguments.rounds < 6:
        parser.error("an interval takes at least 6 rounds")
    run(arguments.before, arguments.rounds, arguments.output, workers=arguments.workers)


if __name__ == "__main__":
    main()
