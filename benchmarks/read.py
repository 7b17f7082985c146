"""How fast batches are read, compared with reads without the service and with one query per session.

    python benchmarks/read.py

Starts an embedded MongoDB in a temporary folder and `clickstream serve` on it, and fills a batch. Every round then
reads the batch in every way in turn. The server has one core; this client and MongoDB share another.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import grpc
from embedding_studio.clickstream.v1 import batch_service_pb2 as pb
from embedding_studio.clickstream.v1 import session_pb2
from measuring import (
    cpu_seconds,
    machine_and_versions,
    median_and_spread,
    peak_memory,
    pin,
    server_process,
    write_table,
)
from pymongo.database import Database

from clickstream.client.calls import batch_stub
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document, connect
from clickstream.dao.mongo.schema import prepare_schema
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.sessions import EventDraft, EventPush
from clickstream.servicers.checks import admission

RESULTS, EVENTS = 50, 10
PAGE_SIZE = 100
INSERT_GROUP = 500
STREAM = "/embedding_studio.clickstream.v1.BatchService/StreamBatchSessions"
LIMIT, RAW, PARSED = "pymongo alone", "StreamBatchSessions, payloads left encoded", "StreamBatchSessions, parsed"
PAGES, NAIVE = f"GetBatchSessions, pages of {PAGE_SIZE}", "one query per session"


@dataclass
class Reader:
    """One way to read the batch, and what each round measured.

    `read` returns the number of sessions it read. `pid` is the server that it reads from; 0: this process reads itself.
    """

    read: Callable[[], int]
    pid: int = 0
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def measure(self) -> None:
        """Reads once; appends sessions per second, and microseconds of the server's CPU per session."""
        cpu, began = cpu_seconds(self.pid or os.getpid()), time.perf_counter()
        count = self.read()
        self.rates.append(count / (time.perf_counter() - began))
        self.cpu.append((cpu_seconds(self.pid or os.getpid()) - cpu) / count * 1e6)


def shop_session(number: int) -> session_pb2.Session:
    """A search that showed 50 products with their metadata: 8.3 kB encoded."""
    made = session_pb2.Session(session_id=f"session-{number:08d}", query="red running shoes", user_id=f"user-{number}")
    made.score_kind = session_pb2.SCORE_KIND_SIMILARITY
    for place in range(RESULTS):
        shown = made.results.add(object_id=f"object-{place:08d}", score=1 / (place + 1))
        title = f"Running shoe number {place} in red, with a long title"
        shown.meta.update({"title": title, "category": "shoes/running", "price": 19.5 + place, "brand": "a brand"})
    return made


def fill(database: Database[Document], sessions: int) -> int:
    """Stores sessions with their events; returns the bytes of one encoded session."""
    dao, now = MongoDao(database), datetime.now(UTC)
    for start in range(1, sessions + 1, INSERT_GROUP):
        numbers = range(start, min(start + INSERT_GROUP, sessions + 1))
        drafts = [admission.session(shop_session(number), admission.arrival(now, None)) for number in numbers]
        dao.sessions.append(drafts)
        dao.events.append([EventPush(draft.session_id, click_drafts(now)) for draft in drafts])
    return len(drafts[0].payload)


def click_drafts(now: datetime) -> list[EventDraft]:
    """A click on each of the first `EVENTS` results."""
    return [
        EventDraft(event.event_id, event.type, now, False, event.SerializeToString())
        for n in range(EVENTS)
        for event in [session_pb2.Event(event_id=f"event-{n}", object_id=f"object-{n:08d}", type="click")]
    ]


def read_documents(database: Database[Document], sessions: int) -> int:
    """Makes only the two range reads of each page; returns the number of sessions."""
    for after in range(0, sessions, PAGE_SIZE):
        query = {"batch": 1, "number": {"$gt": after}, "seal": None, "irrelevant_at": None}
        database["sessions"].find(
            query, sort=[("batch", 1), ("number", 1)], limit=PAGE_SIZE, batch_size=PAGE_SIZE
        ).to_list()
        in_range = {"$gte": {"batch": 1, "number": after + 1}, "$lt": {"batch": 1, "number": after + PAGE_SIZE + 1}}
        database["session_events"].find(
            {"_id": in_range}, ("payload", "server_time"), sort=[("_id", 1)], batch_size=PAGE_SIZE * EVENTS + 1
        ).to_list()
    return sessions


def read_stream(channel: grpc.Channel, parse: Callable[[bytes], object] | None) -> int:
    """Reads the whole batch from one stream; `parse` None leaves messages encoded. Returns the number of sessions."""
    call = channel.unary_stream(STREAM, pb.StreamBatchSessionsRequest.SerializeToString, parse)
    return sum(1 for _ in call(pb.StreamBatchSessionsRequest(batch_id="batch-1")))


def read_pages(channel: grpc.Channel, sessions: int) -> int:
    """Reads pages by number until at least this number of sessions is read; returns that number."""
    stub, after = batch_stub(channel), 0
    while after < sessions:
        request = pb.GetBatchSessionsRequest(batch_id="batch-1", page_size=PAGE_SIZE, after_number=after)
        after = stub.GetBatchSessions(request).next_after_number
    return after


def run(sessions: int, rounds: int, output: Path) -> None:
    """Measures and writes the table."""
    server_core, client_core = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        mongo = EmbeddedMongo(Path(folder) / "mongodb", cache_gb=1.0)
        mongo.start()
        try:
            pin(0, client_core)
            pin(mongo.pid, client_core)
            with connect(mongo.uri, timeout=20) as client:
                database = client["clickstream"]
                prepare_schema(database)
                size = fill(database, sessions)
                serve = ("-m", "clickstream", "serve", "--listen", "127.0.0.1:0", "--data-dir", folder)
                naive = (str(Path(__file__).with_name("naive_reads.py")), mongo.uri)
                with (
                    server_process(server_core, *serve, MONGODB_URI=mongo.uri) as (address, pid),
                    server_process(server_core, *naive) as (naive_address, naive_pid),
                    grpc.insecure_channel(address) as channel,
                    grpc.insecure_channel(naive_address) as naive_channel,
                ):

                    def read_on_the_servers_core() -> int:
                        pin(0, server_core)
                        try:
                            return read_documents(database, sessions)
                        finally:
                            pin(0, client_core)

                    readers = {
                        LIMIT: Reader(read_on_the_servers_core),
                        RAW: Reader(lambda: read_stream(channel, None), pid),
                        PARSED: Reader(lambda: read_stream(channel, pb.StreamBatchSessionsResponse.FromString), pid),
                        PAGES: Reader(lambda: read_pages(channel, sessions), pid),
                        NAIVE: Reader(lambda: read_pages(naive_channel, min(sessions, 2_000)), naive_pid),
                    }
                    memory = measure(readers, rounds, pid)
        finally:
            mongo.stop()
    write_table(output, "Reading batches", text(sessions, rounds, size, memory), COLUMNS, table(readers))
    print(output.read_text())


def measure(readers: dict[str, Reader], rounds: int, pid: int) -> list[float]:
    """Reads in every way, round after round.

    Returns the peak memory of the server `pid` in MiB: before, after the first round, and at the end.
    """
    memory = [peak_memory(pid)]
    for number in range(rounds + 1):
        for name, reader in readers.items():
            reader.measure()
            print(f"round {number}: {name}: {reader.rates[-1]:,.0f} sessions/s", file=sys.stderr)
        if number == 0:  # the first round warms up connections, caches and code
            memory.append(peak_memory(pid))
            for reader in readers.values():
                reader.rates.clear()
                reader.cpu.clear()
    return [*memory, peak_memory(pid)]


COLUMNS = ["read by", "sessions/s: median (range)", "of pymongo alone", "times one query per session", "CPU µs/session"]


def table(readers: dict[str, Reader]) -> list[list[str]]:
    """One row per way to read; a ratio is the median of the ratios within a round."""

    def ratio(reader: Reader, other: Reader) -> float:
        return statistics.median(mine / its for mine, its in zip(reader.rates, other.rates, strict=True))

    return [
        [
            name,
            median_and_spread(reader.rates),
            f"{ratio(reader, readers[LIMIT]):.0%}",
            f"{ratio(reader, readers[NAIVE]):.1f}",
            f"{statistics.median(reader.cpu):.0f}",
        ]
        for name, reader in readers.items()
    ]


def text(sessions: int, rounds: int, size: int, memory: list[float]) -> str:
    """The text below the table."""
    before, warm, end = memory
    return f"""{sessions:,} sessions of {RESULTS} results ({size / 1000:.1f} kB) with {EVENTS} events each; {rounds} \
rounds after one to warm up, the ways interleaved. The server under test has one core; this client and mongod share \
the other. CPU is that of the server's process (of pymongo's for the first row). Made by `benchmarks/read.py`.

Peak memory of the server: {before:.0f} MiB at the start, {warm:.0f} MiB after the first round, {end:.0f} MiB after \
{3 * (rounds + 1)} reads of the whole batch of {sessions * size / 1e6:.0f} MB.

{machine_and_versions("grpcio", "protobuf", "pymongo", "uvloop")} MongoDB: the embedded one."""


def main() -> None:
    """Parses the arguments and runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "read.md")
    arguments = parser.parse_args()
    run(arguments.sessions, arguments.rounds, arguments.output)


if __name__ == "__main__":
    main()
