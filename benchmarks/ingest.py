"""How fast sessions and events are written, against the same stack doing nothing and against MongoDB alone.

    python benchmarks/ingest.py
    python benchmarks/ingest.py --memory 10000000     # also: memory after so many events (minutes)

Starts an embedded MongoDB in a temporary folder, `clickstream serve --processes` 1 and 2 over it, and as many
servers that do nothing. Limit and product are measured in turn, round after round; a ratio is the median of the
ratios within a round. Every answer is checked: status, and that every event was stored.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import grpc
import uvloop
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1 import session_pb2
from http2_load import Outcome, at_rate, closed_loop
from measuring import header, median_and_spread, pin, resident_memory, server_process, serving_processes, write_table
from pymongo.collection import Collection

from clickstream.contract.sessions import all_accepted
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document, connect
from clickstream.dao.mongo.events import event_document
from clickstream.dao.mongo.schema import prepare_schema
from clickstream.domain.sessions import EventDraft

# Events of a search come within minutes of it, so each measurement has sessions of its own.
EVENTS_PER_SESSION = 10
WORDS = [
    "red",
    "blue",
    "running",
    "shoe",
    "sandal",
    "leather",
    "light",
    "with",
    "for",
    "men",
    "women",
    "soft",
    "summer",
    "winter",
]
PUSH, CREATE = "ClickstreamService/PushEvents", "ClickstreamService/CreateSession"
INGEST = "/embedding_studio.clickstream.v1.ClickstreamService/Ingest"
NOOP_HERE = Path(__file__).with_name("noop_server.py")
# Ingest is given as much work as keeps it and MongoDB busy for a second or two.
INGEST_EVENTS = 60_000
LONE_CALLS = 300
PACED_SECONDS = 4


@dataclass
class Row:
    """One line of the table: what the limit and the product did, round by round."""

    work: str
    target: float
    limit: Callable[[], float]
    product: Callable[[], float]
    limits: list[float] = field(default_factory=list)
    products: list[float] = field(default_factory=list)

    def measure(self, settle: Callable[[], object]) -> None:
        """Both, in turn; `settle` lets MongoDB finish what the one before left it to do."""
        settle()
        self.limits.append(self.limit())
        settle()
        self.products.append(self.product())
        ratio = self.products[-1] / self.limits[-1]
        print(f"{self.work}: {self.products[-1]:,.0f} of {self.limits[-1]:,.0f}: {ratio:.0%}", file=sys.stderr)

    def cells(self, unit: str) -> list[str]:
        """The row of the table."""
        ratios = [product / limit for product, limit in zip(self.products, self.limits, strict=True)]
        share = f"{statistics.median(ratios):.0%} ({min(ratios):.0%} to {max(ratios):.0%})"
        return [
            self.work,
            f"{median_and_spread(self.limits)} {unit}",
            f"{median_and_spread(self.products)} {unit}",
            share,
            f"{self.target:.0%}",
        ]


def click(number: int) -> session_pb2.Event:
    """A click whose id nobody else has."""
    return session_pb2.Event(event_id=uuid.uuid4().hex, object_id=f"item-{number % 20}", type="click")


def pushes(address: str, calls: int, events: int) -> list[bytes]:
    """Serialized requests of distinct events of new sessions, which come in turn."""
    session_ids = register(address, max(1, calls * events // EVENTS_PER_SESSION))
    return [
        pb.PushEventsRequest(
            session_id=session_ids[number % len(session_ids)], events=[click(number) for _ in range(events)]
        ).SerializeToString()
        for number in range(calls)
    ]


def searches(calls: int) -> list[bytes]:
    """Serialized requests of distinct sessions that showed 50 products with their data, about 8.3 kB each."""
    draw = random.Random(42)
    shown = session_pb2.Session(query="red running shoes", score_kind=session_pb2.SCORE_KIND_SIMILARITY)
    for place in range(50):
        result = shown.results.add(object_id=f"sku-{place:08d}", score=draw.random())
        title = " ".join(draw.choices(WORDS, k=8))
        result.meta.update({"title": title, "price": draw.randrange(10_000) / 100, "category": "shoes/running"})
    requests = []
    for _ in range(calls):
        shown.session_id = uuid.uuid4().hex
        requests.append(pb.CreateSessionRequest(session=shown).SerializeToString())
    return requests


def unary(address: str, method: str, bodies: list[bytes], in_flight: int, expected: bytes | None) -> Outcome:
    """Calls with 8 in flight on each connection."""
    port = int(address.rpartition(":")[2])
    load = closed_loop(port, method, iter(bodies), connections=in_flight // 8, width=8, expected=expected)
    return uvloop.run(load)


def unary_row(
    work: str, target: float, noop: str, product: str, make: Callable[[], list[bytes]], events: int, in_flight: int = 64
) -> Row:
    """A row of unary calls; `events` per call, 0 for sessions."""
    method = PUSH if events else CREATE
    expected = all_accepted(events) if events else None
    return Row(
        work,
        target,
        lambda: unary(noop, method, make(), in_flight, b"").rate,
        lambda: unary(product, method, make(), in_flight, expected).rate,
    )


def documents(count: int, session: int) -> list[Document]:
    """What the service stores for so many clicks in one session."""
    now = datetime.now(UTC)
    made = []
    for number in range(count):
        event = click(number)
        event.created_at.FromDatetime(now)
        draft = EventDraft(event.event_id, event.type, now, True, event.SerializeToString())
        made.append(event_document((1, session, event.event_id), draft))
    return made


def insert_by_two_threads(collection: Collection[Document], size: int) -> float:
    """insert_many of `size` documents, again and again, from two threads; documents a second."""
    half = [documents(size, session) for session in range(INGEST_EVENTS // size // 2)]
    other = [documents(size, session) for session in range(INGEST_EVENTS // size // 2)]

    def insert(groups: list[list[Document]]) -> None:
        for group in groups:
            collection.insert_many(group, ordered=False)

    threads = [threading.Thread(target=insert, args=(groups,)) for groups in (half, other)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return INGEST_EVENTS // size // 2 * 2 * size / (time.perf_counter() - began)


def ingest_messages(address: str, events: int, size: int) -> Iterator[bytes]:
    """Serialized messages of one stream, each of a new session."""
    for sequence, session_id in enumerate(register(address, events // size), start=1):
        pushed = pb.EventList(session_id=session_id, events=[click(n) for n in range(size)])
        yield pb.IngestRequest(sequence=sequence, events=pushed).SerializeToString()


def acknowledgements(channel: grpc.Channel, messages: Iterable[bytes]) -> Iterator[pb.IngestResponse]:
    """Sends messages through one stream."""
    stream: grpc.StreamStreamMultiCallable[bytes, pb.IngestResponse] = channel.stream_stream(
        INGEST, None, pb.IngestResponse.FromString
    )
    return stream(iter(messages))


def ingest(channel: grpc.Channel, messages: Iterable[bytes], size: int) -> float:
    """Sends messages through one stream; events a second, from the first message to the last acknowledgement."""
    began = time.perf_counter()
    stored = 0
    for acknowledgement in acknowledgements(channel, messages):
        if acknowledgement.events.accepted_count != size:
            raise RuntimeError(f"not all stored: {acknowledgement}")
        stored += size
    return stored / (time.perf_counter() - began)


def ingest_row(target: float, collection: Collection[Document], address: str, size: int) -> Row:
    """A row of streamed events."""

    def product() -> float:
        with grpc.insecure_channel(address) as channel:
            return ingest(channel, list(ingest_messages(address, INGEST_EVENTS, size)), size)

    return Row(f"Ingest, {size:,} events per message", target, lambda: insert_by_two_threads(collection, size), product)


def lone_calls(noop: str, product: str, collection: Collection[Document]) -> list[float]:
    """Median milliseconds, one at a time: insert_one, a call that does nothing, PushEvents with one event."""
    alone = []
    for document in documents(LONE_CALLS, 1):
        began = time.perf_counter()
        collection.insert_one(document)
        alone.append((time.perf_counter() - began) * 1000)
    waits = [statistics.median(alone)]
    for address in (noop, product):
        port = int(address.rpartition(":")[2])
        bodies = iter(pushes(product, LONE_CALLS, 1))
        waits.append(uvloop.run(closed_loop(port, PUSH, bodies, connections=1, width=1)).percentile(0.5))
    return waits


def half_rate(address: str, rate: float) -> Outcome:
    """PushEvents with one event, started by the clock."""
    calls = iter(pushes(address, int(rate * PACED_SECONDS) + 1, 1))
    port = int(address.rpartition(":")[2])
    return uvloop.run(at_rate(port, PUSH, calls, rate=rate, seconds=PACED_SECONDS, connections=8))


def register(address: str, count: int) -> list[str]:
    """Registers new sessions; their ids."""
    shown = [session_pb2.Result(object_id=f"item-{number}") for number in range(20)]
    session_ids = [uuid.uuid4().hex for _ in range(count)]
    sessions = (session_pb2.Session(session_id=each, query="red shoes", results=shown) for each in session_ids)
    messages = (
        pb.IngestRequest(sequence=sequence, session=session).SerializeToString()
        for sequence, session in enumerate(sessions, start=1)
    )
    with grpc.insecure_channel(address) as channel:
        created = [each.session.created for each in acknowledgements(channel, messages)]
    if created != [True] * count:
        raise RuntimeError("not all sessions were registered")
    return session_ids


def memory(address: str, pid: int, events: int) -> str:
    """Streams events, and says what the serving process holds after a tenth of them and after all."""
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
        # Of the same kind as the service's own, in a place where they disturb nothing.
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
            noops.append(stack.enter_context(server_process(None, str(NOOP_HERE), str(processes)))[0])
        rows = [
            unary_row("PushEvents, 1 event, 1 process, 64 in flight", 0.85, noops[0], products[0],
                      lambda: pushes(products[0], calls, 1), 1),
            unary_row("PushEvents, 1 event, 2 processes, 256 in flight", 0.90, noops[1], products[1],
                      lambda: pushes(products[0], calls, 1), 1, 256),
            unary_row("PushEvents, 10 events, 1 process", 0.60, noops[0], products[0],
                      lambda: pushes(products[0], calls // 2, 10), 10),
            unary_row("CreateSession, 50 results with meta, 1 process", 0.75, noops[0], products[0],
                      lambda: searches(calls // 2), 0),
        ]  # fmt: skip
        streams = [
            ingest_row(0.85, raw["session_events"], products[0], 1_000),
            ingest_row(0.75, raw["session_events"], products[0], 100),
        ]

        def settle() -> None:
            database.client.admin.command("fsync")  # a checkpoint, which else comes in the middle of the next

        waits: list[list[float]] = []
        paced: list[Outcome] = []
        pin(0, max(os.sched_getaffinity(0)))  # with one serving process on the first core, the load has the last
        for _ in range(rounds):
            for row in rows:
                row.measure(settle)
            settle()
            waits.append(lone_calls(noops[0], products[0], raw["session_events"]))
            settle()
            paced.append(half_rate(products[0], rows[0].products[-1] / 2))
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        for _ in range(rounds):
            for row in streams:
                row.measure(settle)
        settle()
        remembered = memory(products[0], pids[0], memory_events) if memory_events else ""
    lines = [row.cells("calls/s") for row in rows] + [row.cells("events/s") for row in streams]
    write_table(output, "Writing sessions and events", text(rounds, waits, paced, remembered), COLUMNS, lines)
    print(output.read_text())


COLUMNS = ["work", "limit: median (range)", "product: median (range)", "product of limit", "target"]


def text(rounds: int, waits: list[list[float]], paced: list[Outcome], remembered: str) -> str:
    """What was measured, in words."""
    insert, noop, push = (statistics.median(each) for each in zip(*waits, strict=True))
    ratios = [push / (insert + noop) for insert, noop, push in waits]
    rates = median_and_spread([outcome.rate for outcome in paced])
    middle, late = ([outcome.percentile(share) for outcome in paced] for share in (0.5, 0.99))
    return f"""{rounds} rounds, limit and product in turn. The limit of unary calls is grpc.aio on uvloop with empty \
handlers, with as many processes and as pinned; of Ingest, insert_many of the same documents in groups of the same \
size by two threads. Made by `benchmarks/ingest.py`.

A lone request takes {push:.2f} ms (median); insert_one takes {insert:.2f} ms and a call that does nothing {noop:.2f} \
ms: {statistics.median(ratios):.2f} times their sum ({min(ratios):.2f} to {max(ratios):.2f}; target 1.3).

At half of the highest rate ({rates} calls/s), PushEvents took {statistics.median(middle):.1f} ms at the median and \
{statistics.median(late):.1f} ms ({min(late):.1f} to {max(late):.1f}) at the 99th percentile (target 10 ms), counted \
from when each call was due; median of {rounds} runs of {PACED_SECONDS} s.

{remembered}

{header("grpcio", "protobuf", "pymongo", "uvloop")} MongoDB: the embedded one, writes acknowledged by the majority \
with the journal."""


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=20_000, help="calls of one event per measurement")
    parser.add_argument("--memory", type=int, default=0, help="stream so many events, and look at the memory")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "ingest.md")
    arguments = parser.parse_args()
    run(arguments.rounds, arguments.calls, arguments.memory, arguments.output)


if __name__ == "__main__":
    main()
