"""How much memory it takes to convert a batch of a million sessions.

    python benchmarks/inputs.py

Starts an embedded MongoDB in a temporary folder, `clickstream serve` on it and a `clickstream trainer`, and fills a
batch by bulk writes of MongoDB's driver. The client reads the whole batch as training inputs twice; then the worker
reads it and sends it to the trainer. The script samples the resident memory of the processes all the while.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import grpc
from embedding_studio.clickstream.v1 import session_pb2
from embedding_studio.clickstream.v1 import training_service_pb2 as pb
from embedding_studio.clickstream.v1.fine_tuning_settings_pb2 import FineTuningSettings
from measuring import machine_and_versions, peak_memory, resident_memory, server_process, write_table
from pymongo.database import Database

from clickstream.client.admin import AdminClient
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document, connect
from clickstream.dao.mongo.events import event_document
from clickstream.dao.mongo.schema import prepare_schema
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.sessions import EventDraft

QUERIES, RESULTS = 1_000, 5
# Documents per bulk write.
INSERT_GROUP = 5_000
# Memory is sampled once per tenth of the batch, and once before.
SAMPLES = 10
STREAM = "/embedding_studio.clickstream.v1.TrainingService/StreamTrainingInputs"


@dataclass
class MemoryTrace:
    """Resident memory of processes while a batch is read: one list per sample, in MiB, one value per process."""

    name: str
    pids: list[int]
    sessions: int
    memory: list[list[float]] = field(default_factory=list)
    seconds: float = 0.0

    def record(self, counts: Iterator[int]) -> None:
        """Samples the memory each time the running count of inputs passes another tenth of the batch."""
        began = time.monotonic()
        self._sample()
        for count in counts:
            while len(self.memory) <= SAMPLES and count >= len(self.memory) * self.sessions // SAMPLES:
                self._sample()
                print(f"{self.name}: {count:,} inputs, {self.memory[-1]} MiB", file=sys.stderr)
            if count == self.sessions and not self.seconds:
                self.seconds = time.monotonic() - began

    def _sample(self) -> None:
        self.memory.append([resident_memory(pid) for pid in self.pids])


def fill(database: Database[Document], sessions: int) -> float:
    """Stores sessions with a click each and releases their batch; returns the mean bytes of an encoded session."""
    now = datetime.now(UTC)
    made = [search(number) for number in range(QUERIES)]
    size = 0
    for start in range(1, sessions + 1, INSERT_GROUP):
        documents, events = [], []
        for number in range(start, min(start + INSERT_GROUP, sessions + 1)):
            session = made[number % QUERIES]
            session.session_id = f"session-{number:08d}"
            payload = session.SerializeToString()
            size += len(payload)
            documents.append(
                {"_id": session.session_id, "batch": 1, "number": number, "created_at": now, "payload": payload}
            )
            clicked = session.results[number // QUERIES % RESULTS].object_id
            click = session_pb2.Event(event_id="click", object_id=clicked, type="click")
            draft = EventDraft("click", "click", now, False, click.SerializeToString())
            events.append(event_document((1, number, "click"), draft))
        database["sessions"].insert_many(documents, ordered=False)
        database["session_events"].insert_many(events, ordered=False)
    MongoDao(database).batches.release("release", None, now)
    return size / sessions


def search(number: int) -> session_pb2.Session:
    """One of the searches that are made again and again: 5 items of its own."""
    made = session_pb2.Session(query=f"running shoes number {number}")
    made.created_at.GetCurrentTime()
    for position in range(RESULTS):
        shown = made.results.add(object_id=f"object-{number}-{position}", position=position)
        shown.meta.update({"title": f"Running shoe {number} of colour {position}"})
    return made


def stream_inputs(channel: grpc.Channel) -> Iterator[int]:
    """Reads the inputs of the batch without parsing them; yields the count so far."""
    call: grpc.UnaryStreamMultiCallable[pb.StreamTrainingInputsRequest, bytes] = channel.unary_stream(
        STREAM, pb.StreamTrainingInputsRequest.SerializeToString, None
    )
    for count, _ in enumerate(call(pb.StreamTrainingInputsRequest(batch_id="batch-1"))):
        yield count  # the last message is the summary, so the count is right at the end


def train(channel: grpc.Channel) -> Iterator[int]:
    """Starts a run that fails only after the trainer has read all inputs; yields the count so far.

    The base model of the run does not exist, so nothing is trained.

    Raises:
        RuntimeError: the run ended for another reason, or before all inputs were read.
    """
    client = AdminClient(channel)
    client.start_training("run-1", ["batch-1"], FineTuningSettings(base_model="/nowhere", item_template="{title}"))
    for run in client.watch_training("run-1"):
        yield run.progress.input_count
    if run.progress.input_count < run.conversion.input_count or "/nowhere" not in run.reason:
        raise RuntimeError(f"the trainer did not read all inputs: {run.reason}")


def run(sessions: int, output: Path) -> None:
    """Measures and writes the table."""
    with tempfile.TemporaryDirectory() as folder:
        mongo = EmbeddedMongo(Path(folder) / "mongodb", cache_gb=0.5)
        mongo.start()
        try:
            with connect(mongo.uri, timeout=60) as client:
                prepare_schema(client["clickstream"])
                size = fill(client["clickstream"], sessions)
            module = ("-m", "clickstream", "trainer", "--listen", "127.0.0.1:0", "--data-dir", folder)
            with server_process(None, *module) as (trainer, trainer_pid):
                serve = ("-m", "clickstream", "serve", "--listen", "127.0.0.1:0", "--data-dir", folder)
                environment = {"MONGODB_URI": mongo.uri, "CLICKSTREAM_TRAINER": trainer}
                with (
                    server_process(None, *serve, **environment) as (address, pid),
                    grpc.insecure_channel(address) as channel,
                ):
                    first = MemoryTrace("StreamTrainingInputs, first reading", [pid], sessions)
                    first.record(stream_inputs(channel))
                    again = MemoryTrace("the same again", [pid], sessions)
                    again.record(stream_inputs(channel))
                    pumped = MemoryTrace("worker to trainer", [pid, trainer_pid], sessions)
                    pumped.record(train(channel))
                    peaks = peak_memory(pid), peak_memory(trainer_pid)
        finally:
            mongo.stop()
    traces = [first, again, pumped]
    write_table(output, "Training inputs of a large batch", text(sessions, size, traces, peaks), COLUMNS, table(traces))
    print(output.read_text())


COLUMNS = ["inputs read", "server, first reading", "server, read again", "server, worker to trainer", "trainer"]


def table(traces: list[MemoryTrace]) -> list[list[str]]:
    """One row per sample: resident memory in MiB."""
    rows = zip(*(trace.memory for trace in traces), strict=True)
    sessions = traces[0].sessions
    return [
        [f"{tenth * sessions // SAMPLES:,}", *(f"{memory:.0f}" for samples in row for memory in samples)]
        for tenth, row in enumerate(rows)
    ]


def text(sessions: int, size: float, traces: list[MemoryTrace], peaks: tuple[float, float]) -> str:
    """The text below the table."""
    speeds = ", ".join(f"{trace.name} {trace.sessions / trace.seconds:,.0f}" for trace in traces)
    growth = [
        f"{samples[SAMPLES] / samples[SAMPLES // 5]:.2f}"
        for trace in traces
        for samples in zip(*trace.memory, strict=True)
    ]
    versions = machine_and_versions("grpcio", "protobuf", "pymongo", "uvloop", "torch")
    return f"""Resident memory in MiB, one process per column. {sessions:,} sessions of {RESULTS} results \
({size:.0f} B) with a click each, of {QUERIES:,} distinct searches. At the end of the batch, in \
terms of what it was after a fifth: {" · ".join(growth)} times. \
Peaks: server {peaks[0]:.0f} MiB, trainer {peaks[1]:.0f} MiB. The first reading also writes down which events count \
(`training_pages`); the trainer keeps what it read by distinct (query, item, position) and imports torch, which is \
most of its memory.

Inputs per second, the machine shared with MongoDB and the client: {speeds} (in which the \
trainer first imports torch).

{versions} MongoDB: the embedded one. Made by `benchmarks/inputs.py`."""


def main() -> None:
    """Parses the arguments and runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "inputs.md")
    arguments = parser.parse_args()
    run(arguments.sessions, arguments.output)


if __name__ == "__main__":
    main()
