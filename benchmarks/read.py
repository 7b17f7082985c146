"""How fast batches are read, against the same reads without the service and against one query per session.

    python benchmarks/read.py

Starts an embedded MongoDB in a temporary folder and `clickstream serve` over it, fills a batch, and reads it in
every way in turn, round after round. The server has one core, this client and MongoDB share another.
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
from measuring import cpu_seconds, header, median_and_spread, peak_memory, pin, server_process, write_table
from pymongo.database import Database

from clickstream.client.calls import batch_stub
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document, connect
from clickstream.dao.mongo.schema import prepare_schema
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.sessions import EventDraft, EventPush
from clickstream.servicers.checks import admission

RESULTS, EVENTS = 50, 10
PAGE = 100
FILL = 500
STREAM = "/embedding_studio.clickstream.v1.BatchService/StreamBatchSessions"
LIMIT, RAW, PARSED = "pymongo alone", "StreamBatchSessions, payloads left encoded", "StreamBatchSessions, parsed"
PAGES, NAIVE = f"GetBatchSessions, pages of {PAGE}", "one query per session"


@dataclass
class Way:
    """One way to read: reads sessions and returns how many; on the server with this pid (0: without one)."""

    read: Callable[[], int]
    pid: int = 0
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def measure(self) -> None:
        """Reads once; keeps sessions per second, and microseconds of the server's CPU per session."""
        cpu, began = cpu_seconds(self.pid or os.getpid()), time.perf_counter()
        count = self.read()
        self.rates.append(count / (time.perf_counter() - began))
        self.cpu.append((cpu_seconds(self.pid or os.getpid()) - cpu) / count * 1e6)


def shop_session(number: int) -> session_pb2.Session:
    """A search that showed 50 products with their data: 8.3 kB."""
    made = session_pb2.Session(session_id=f"session-{number:08d}", query="red running shoes", user_id=f"user-{number}")
    made.score_kind = session_pb2.SCORE_KIND_SIMILARITY
    for place in range(RESULTS):
        shown = made.results.add(object_id=f"object-{place:08d}", score=1 / (place + 1))
        title = f"Running shoe number {place} in red, with a long title"
        shown.meta.update({"title": title, "category": "shoes/running", "price": 19.5 + place, "brand": "a brand"})
    return made


def fill(database: Database[Document], sessions: int) -> int:
    """Registers sessions with their events; returns the bytes of one session."""
    dao, now = MongoDao(database), datetime.now(UTC)
    for start in range(1, sessions + 1, FILL):
        numbers = range(start, min(start + FILL, sessions + 1))
        drafts = [admission.session(shop_session(number), admission.arrival(now, None)) for number in numbers]
        dao.sessions.append(drafts)
        dao.events.append([EventPush(draft.session_id, clicks(now)) for draft in drafts])
    return len(drafts[0].payload)


def clicks(now: datetime) -> list[EventDraft]:
    """A click on each of the first results."""
    return [
        EventDraft(event.event_id, event.type, now, False, event.SerializeToString())
        for n in range(EVENTS)
        for event in [session_pb2.Event(event_id=f"event-{n}", object_id=f"object-{n:08d}", type="click")]
    ]


def read_documents(database: Database[Document], sessions: int) -> int:
    """The two range reads of each page, and nothing else."""
    for after in range(0, sessions, PAGE):
        query = {"batch": 1, "number": {"$gt": after}, "seal": None, "irrelevant_at": None}
        database["sessions"].find(query, sort=[("batch", 1), ("number", 1)], limit=PAGE, batch_size=PAGE).to_list()
        in_range = {"$gte": {"batch": 1, "number": after + 1}, "$lt": {"batch": 1, "number": after + PAGE + 1}}
        database["session_events"].find(
            {"_id": in_range}, ("payload", "server_time"), sort=[("_id", 1)], batch_size=PAGE * EVENTS + 1
        ).to_list()
    return sessions


def drain(channel: grpc.Channel, parse: Callable[[bytes], object] | None) -> int:
    """Reads the whole batch from one stream."""
    call = channel.unary_stream(STREAM, pb.StreamBatchSessionsRequest.SerializeToString, parse)
    return sum(1 for _ in call(pb.StreamBatchSessionsRequest(batch_id="batch-1")))


def read_pages(channel: grpc.Channel, sessions: int) -> int:
    """Pages by number."""
    stub, after = batch_stub(channel), 0
    while after < sessions:
        request = pb.GetBatchSessionsRequest(batch_id="batch-1", page_size=PAGE, after_number=after)
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

                    ways = {
                        LIMIT: Way(read_on_the_servers_core),
                        RAW: Way(lambda: drain(channel, None), pid),
                        PARSED: Way(lambda: drain(channel, pb.StreamBatchSessionsResponse.FromString), pid),
                        PAGES: Way(lambda: read_pages(channel, sessions), pid),
                        NAIVE: Way(lambda: read_pages(naive_channel, min(sessions, 2_000)), naive_pid),
                    }
                    memory = measure(ways, rounds, pid)
        finally:
            mongo.stop()
    write_table(output, "Reading batches", text(sessions, rounds, size, memory), COLUMNS, table(ways))
    print(output.read_text())


def measure(ways: dict[str, Way], rounds: int, pid: int) -> list[float]:
    """Reads in every way, round after round; the server's peak memory before, after one round, and at the end."""
    memory = [peak_memory(pid)]
    for number in range(rounds + 1):
        for name, way in ways.items():
            way.measure()
            print(f"round {number}: {name}: {way.rates[-1]:,.0f} sessions/s", file=sys.stderr)
        if number == 0:  # connections, caches and code warm up
            memory.append(peak_memory(pid))
            for way in ways.values():
                way.rates.clear()
                way.cpu.clear()
    return [*memory, peak_memory(pid)]


COLUMNS = ["read by", "sessions/s: median (range)", "of pymongo alone", "times one query per session", "CPU µs/session"]


def table(ways: dict[str, Way]) -> list[list[str]]:
    """One row per way; ratios are medians of the ratios within a round."""

    def ratio(way: Way, other: Way) -> float:
        return statistics.median(mine / its for mine, its in zip(way.rates, other.rates, strict=True))

    return [
        [
            name,
            median_and_spread(way.rates),
            f"{ratio(way, ways[LIMIT]):.0%}",
            f"{ratio(way, ways[NAIVE]):.1f}",
            f"{statistics.median(way.cpu):.0f}",
        ]
        for name, way in ways.items()
    ]


def text(sessions: int, rounds: int, size: int, memory: list[float]) -> str:
    """What was measured, in words."""
    before, warm, end = memory
    return f"""{sessions:,} sessions of {RESULTS} results ({size / 1000:.1f} kB) with {EVENTS} events each; {rounds} \
rounds after one to warm up, the ways interleaved. The server under test has one core; this client and mongod share \
the other. CPU is that of the server's process (of pymongo's for the first row). Made by `benchmarks/read.py`.

Peak memory of the server: {before:.0f} MiB at the start, {warm:.0f} MiB after the first round, {end:.0f} MiB after \
{3 * (rounds + 1)} reads of the whole batch of {sessions * size / 1e6:.0f} MB.

{header("grpcio", "protobuf", "pymongo", "uvloop")} MongoDB: the embedded one."""


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "read.md")
    arguments = parser.parse_args()
    run(arguments.sessions, arguments.rounds, arguments.output)


if __name__ == "__main__":
    main()
