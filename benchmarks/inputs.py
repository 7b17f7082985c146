"""How much memory it takes to convert a batch of a million sessions.

    python benchmarks/inputs.py

Starts an embedded MongoDB in a temporary folder, `clickstream serve` over it and a `clickstream trainer`, and fills a
batch by bulk writes of MongoDB's driver. Then the whole batch is read as training inputs twice, and once more by the
worker, which sends it to the trainer. Meanwhile the processes' resident memory is looked at.
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
from measuring import header, peak_memory, resident_memory, server_process, write_table
from pymongo.database import Database

from clickstream.client.admin import AdminClient
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document, connect
from clickstream.dao.mongo.events import event_document
from clickstream.dao.mongo.schema import prepare_schema
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.sessions import EventDraft

QUERIES, RESULTS = 1_000, 5
GROUP = 5_000
LOOKS = 10
STREAM = "/embedding_studio.clickstream.v1.TrainingService/StreamTrainingInputs"


@dataclass
class Reading:
    """The memory of processes, in MiB, each time another tenth of the batch was read."""

    name: str
    pids: list[int]
    sessions: int
    memory: list[list[float]] = field(default_factory=list)
    seconds: float = 0.0

    def follow(self, counts: Iterator[int]) -> None:
        """Looks at the memory whenever the count of inputs has passed the next tenth."""
        began = time.monotonic()
        self._look()
        for count in counts:
            while len(self.memory) <= LOOKS and count >= len(self.memory) * self.sessions // LOOKS:
                self._look()
                print(f"{self.name}: {count:,} inputs, {self.memory[-1]} MiB", file=sys.stderr)
            if count == self.sessions and not self.seconds:
                self.seconds = time.monotonic() - began

    def _look(self) -> None:
        self.memory.append([resident_memory(pid) for pid in self.pids])


def fill(database: Database[Document], sessions: int) -> float:
    """Registers sessions with a click each, and releases their batch; returns the bytes of a session."""
    now = datetime.now(UTC)
    made = [search(number) for number in range(QUERIES)]
    size = 0
    for start in range(1, sessions + 1, GROUP):
        documents, events = [], []
        for number in range(start, min(start + GROUP, sessions + 1)):
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


def streamed(channel: grpc.Channel) -> Iterator[int]:
    """Reads the batch's inputs, left encoded, and counts them."""
    call = channel.unary_stream(STREAM, pb.StreamTrainingInputsRequest.SerializeToString, None)
    for count, _ in enumerate(call(pb.StreamTrainingInputsRequest(batch_id="batch-1"))):
        yield count  # the last message is the summary


def trained(channel: grpc.Channel) -> Iterator[int]:
    """Has the worker send the batch to the trainer, which takes up all inputs and then finds no base model."""
    client = AdminClient(channel)
    client.start_training("run-1", ["batch-1"], FineTuningSettings(base_model="/nowhere", item_template="{title}"))
    for run in client.watch_training("run-1"):
        yield run.progress.input_count
    if run.progress.input_count < run.conversion.input_count or "/nowhere" not in run.reason:
        raise RuntimeError(f"the trainer did not take up the inputs: {run.reason}")


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
                    first = Reading("StreamTrainingInputs, first reading", [pid], sessions)
                    first.follow(streamed(channel))
                    again = Reading("the same again", [pid], sessions)
                    again.follow(streamed(channel))
                    pumped = Reading("worker to trainer", [pid, trainer_pid], sessions)
                    pumped.follow(trained(channel))
                    peaks = peak_memory(pid), peak_memory(trainer_pid)
        finally:
            mongo.stop()
    readings = [first, again, pumped]
    write_table(
        output, "Training inputs of a large batch", text(sessions, size, readings, peaks), COLUMNS, table(readings)
    )
    print(output.read_text())


COLUMNS = ["inputs read", "server, first reading", "server, read again", "server, worker to trainer", "trainer"]


def table(readings: list[Reading]) -> list[list[str]]:
    """One row per tenth of the batch: resident memory in MiB."""
    rows = zip(*(reading.memory for reading in readings), strict=True)
    sessions = readings[0].sessions
    return [
        [f"{tenth * sessions // LOOKS:,}", *(f"{memory:.0f}" for looks in row for memory in looks)]
        for tenth, row in enumerate(rows)
    ]


def text(sessions: int, size: float, readings: list[Reading], peaks: tuple[float, float]) -> str:
    """What was measured, in words."""
    speeds = ", ".join(f"{reading.name} {reading.sessions / reading.seconds:,.0f}" for reading in readings)
    growth = [
        f"{looks[LOOKS] / looks[LOOKS // 5]:.2f}" for reading in readings for looks in zip(*reading.memory, strict=True)
    ]
    versions = header("grpcio", "protobuf", "pymongo", "uvloop", "torch")
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
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "inputs.md")
    arguments = parser.parse_args()
    run(arguments.sessions, arguments.output)


if __name__ == "__main__":
    main()
