"""How fast sessions and events are written, compared with empty handlers on the same stack and with MongoDB alone.

    python benchmarks/ingest.py
    python benchmarks/ingest.py --memory 10000000     # also the memory after this many events; takes minutes

Starts an embedded MongoDB in a temporary folder, `clickstream serve --processes` 1 and 2 on it, and servers with empty
handlers in as many processes. Every round measures limit and product in turn; a ratio is the median of the ratios
within a round. Every answer is checked: its status, and that every event was stored.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import uvloop
from http2_load import Outcome, at_rate, closed_loop
from ingest_load import (
    CREATE,
    PUSH,
    click_documents,
    ingest,
    ingest_messages,
    insert_by_two_threads,
    push_requests,
    send_unary,
    session_requests,
)
from measuring import (
    machine_and_versions,
    median_and_spread,
    pin,
    resident_memory,
    server_process,
    serving_processes,
    write_table,
)
from pymongo.collection import Collection

from clickstream.contract.sessions import all_accepted
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document, connect
from clickstream.dao.mongo.schema import prepare_schema

NOOP_SERVER = Path(__file__).with_name("noop_server.py")
# Keeps Ingest and MongoDB busy for a second or two.
INGEST_EVENTS = 60_000
SINGLE_CALLS = 300
PACED_SECONDS = 4


@dataclass
class Row:
    """One line of the table: rates of the limit and of the product, one per round."""

    work: str
    target: float
    limit: Callable[[], float]
    product: Callable[[], float]
    limits: list[float] = field(default_factory=list)
    products: list[float] = field(default_factory=list)

    def measure(self, settle: Callable[[], object]) -> None:
        """Measures both in turn; `settle` waits until MongoDB has finished the work of the measurement before."""
        settle()
        self.limits.append(self.limit())
        settle()
        self.products.append(self.product())
        ratio = self.products[-1] / self.limits[-1]
        print(f"{self.work}: {self.products[-1]:,.0f} of {self.limits[-1]:,.0f}: {ratio:.0%}", file=sys.stderr)

    def cells(self, unit: str) -> list[str]:
        """The cells of the line in the table."""
        ratios = [product / limit for product, limit in zip(self.products, self.limits, strict=True)]
        share = f"{statistics.median(ratios):.0%} ({min(ratios):.0%} to {max(ratios):.0%})"
        return [
            self.work,
            f"{median_and_spread(self.limits)} {unit}",
            f"{median_and_spread(self.products)} {unit}",
            share,
            f"{self.target:.0%}",
        ]


def unary_row(
    work: str, target: float, noop: str, product: str, make: Callable[[], list[bytes]], events: int, in_flight: int = 64
) -> Row:
    """A row of unary calls: PushEvents with this number of events, or CreateSession if that is 0."""
    method = PUSH if events else CREATE
    expected = all_accepted(events) if events else None
    return Row(
        work,
        target,
        lambda: send_unary(noop, method, make(), in_flight, b"").rate,
        lambda: send_unary(product, method, make(), in_flight, expected).rate,
    )


def ingest_row(target: float, collection: Collection[Document], address: str, size: int) -> Row:
    """A row of streamed events."""

    def product() -> float:
        with grpc.insecure_channel(address) as channel:
            return ingest(channel, list(ingest_messages(address, INGEST_EVENTS, size)), size)

    return Row(
        f"Ingest, {size:,} events per message",
        target,
        lambda: insert_by_two_threads(collection, INGEST_EVENTS, size),
        product,
    )


def single_call_latencies(noop: str, product: str, collection: Collection[Document]) -> list[float]:
    """Median milliseconds of insert_one, an empty call, and PushEvents with one event, one call at a time."""
    alone = []
    for document in click_documents(SINGLE_CALLS, 1):
        began = time.perf_counter()
        collection.insert_one(document)
        alone.append((time.perf_counter() - began) * 1000)
    latencies = [statistics.median(alone)]
    for address in (noop, product):
        port = int(address.rpartition(":")[2])
        bodies = iter(push_requests(product, SINGLE_CALLS, 1))
        latencies.append(uvloop.run(closed_loop(port, PUSH, bodies, connections=1, width=1)).percentile(0.5))
    return latencies


def at_half_rate(address: str, rate: float) -> Outcome:
    """Starts PushEvents calls of one event at this rate (calls/s), by the clock."""
    calls = iter(push_requests(address, int(rate * PACED_SECONDS) + 1, 1))
    port = int(address.rpartition(":")[2])
    return uvloop.run(at_rate(port, PUSH, calls, rate=rate, seconds=PACED_SECONDS, connections=8))


def memory_growth(address: str, pid: int, events: int) -> str:
    """Streams events; returns a sentence with the serving process's memory after a tenth of them and after all."""
    with grpc.insecure_channel(address) as channel:
        ingest(channel, ingest_messages(address, events // 10, 1_000), 1_000)
        early = resident_memory(pid)
        ingest(channel, ingest_messages(address, events - events // 10, 1_000), 1_000)
    late = resident_memory(pid)
    return (
        f"Resident memory of the serving process: {early:.0f} MiB after {events // 10:,} events, "
        f"{late:.0f} MiB after {events:,} ({late / early - 1:+.0%})."
    )


def run(rounds: int, calls: int, memory_events: int, output: Path) -> None:
    """Measures everything and writes the table."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        mongo = EmbeddedMongo(Path(folder) / "mongodb", cache_gb=1.0)
        mongo.start()
        stack.callback(mongo.stop)
        database = stack.enter_context(connect(mongo.uri, timeout=20))["clickstream"]
        prepare_schema(database)
        # A second database with the same collections and indexes, for the writes without the service.
        raw = stack.enter_context(connect(mongo.uri, timeout=20))["raw"]
        prepare_schema(raw)
        environment = {"MONGODB_URI": mongo.uri, "CLICKSTREAM_RUN_TRAINING": "false"}
        noops, products, pids = [], [], []
        for processes in (1, 2):
            serve = ("-m", "clickstream", "serve", "--listen", "127.0.0.1:0", "--data-dir", folder)
            command = (*serve, "--processes", str(processes))
            address, pid = stack.enter_context(server_process(None, *command, **environment))
            products.append(address)
            pids.append(serving_processes(pid)[0])
            noops.append(stack.enter_context(server_process(None, str(NOOP_SERVER), str(processes)))[0])
        rows = [
            unary_row("PushEvents, 1 event, 1 process, 64 in flight", 0.85, noops[0], products[0],
                      lambda: push_requests(products[0], calls, 1), 1),
            unary_row("PushEvents, 1 event, 2 processes, 256 in flight", 0.90, noops[1], products[1],
                      lambda: push_requests(products[0], calls, 1), 1, 256),
            unary_row("PushEvents, 10 events, 1 process", 0.60, noops[0], products[0],
                      lambda: push_requests(products[0], calls // 2, 10), 10),
            unary_row("CreateSession, 50 results with meta, 1 process", 0.75, noops[0], products[0],
                      lambda: session_requests(calls // 2), 0),
        ]  # fmt: skip
        streams = [
            ingest_row(0.85, raw["session_events"], products[0], 1_000),
            ingest_row(0.75, raw["session_events"], products[0], 100),
        ]

        def settle() -> None:
            database.client.admin.command("fsync")  # a checkpoint, which would otherwise fall into the next measurement

        latencies: list[list[float]] = []
        paced: list[Outcome] = []
        pin(0, max(os.sched_getaffinity(0)))  # one serving process uses the first core, the load the last
        for _ in range(rounds):
            for row in rows:
                row.measure(settle)
            settle()
            latencies.append(single_call_latencies(noops[0], products[0], raw["session_events"]))
            settle()
            paced.append(at_half_rate(products[0], rows[0].products[-1] / 2))
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        for _ in range(rounds):
            for row in streams:
                row.measure(settle)
        settle()
        memory_sentence = memory_growth(products[0], pids[0], memory_events) if memory_events else ""
    lines = [row.cells("calls/s") for row in rows] + [row.cells("events/s") for row in streams]
    write_table(output, "Writing sessions and events", text(rounds, latencies, paced, memory_sentence), COLUMNS, lines)
    print(output.read_text())


COLUMNS = ["work", "limit: median (range)", "product: median (range)", "product of limit", "target"]


def text(rounds: int, latencies: list[list[float]], paced: list[Outcome], memory_sentence: str) -> str:
    """The text below the table."""
    insert, noop, push = (statistics.median(each) for each in zip(*latencies, strict=True))
    ratios = [push / (insert + noop) for insert, noop, push in latencies]
    rates = median_and_spread([outcome.rate for outcome in paced])
    middle, late = ([outcome.percentile(share) for outcome in paced] for share in (0.5, 0.99))
    return f"""{rounds} rounds, limit and product in turn. The limit of unary calls is grpc.aio on uvloop with empty \
handlers, with as many processes, pinned alike; that of Ingest is insert_many of the same documents in groups of the \
same size by two threads. Made by `benchmarks/ingest.py`.

A single request takes {push:.2f} ms (median); insert_one takes {insert:.2f} ms and an empty call {noop:.2f} \
ms: {statistics.median(ratios):.2f} times their sum ({min(ratios):.2f} to {max(ratios):.2f}; target 1.3).

At half of the highest rate ({rates} calls/s), PushEvents took {statistics.median(middle):.1f} ms at the median and \
{statistics.median(late):.1f} ms ({min(late):.1f} to {max(late):.1f}) at the 99th percentile (target 10 ms), counted \
from when each call was due; median of {rounds} runs of {PACED_SECONDS} s.

{memory_sentence}

{machine_and_versions("grpcio", "protobuf", "pymongo", "uvloop")} MongoDB: the embedded one, writes \
acknowledged by the majority with the journal."""


def main() -> None:
    """Parses the arguments and runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=20_000, help="calls of one event per measurement")
    parser.add_argument(
        "--memory", type=int, default=0, help="also measure the memory after streaming this many events"
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "ingest.md")
    arguments = parser.parse_args()
    run(arguments.rounds, arguments.calls, arguments.memory, arguments.output)


if __name__ == "__main__":
    main()
