"""A small database as a released version left it: made once a release, by `scripts/dump-database`, and kept.

The file is gzip over JSON Lines. The first line holds what a reader must find in the data; each further line is
`{"collection": name, "document": document}` with the document in MongoDB's canonical extended JSON.
"""

import gzip
import hashlib
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import grpc
import pymongo
from bson import json_util
from embedding_studio.clickstream.v1 import (
    batch_service_pb2,
    clickstream_service_pb2,
    improvement_service_pb2,
    model_service_pb2,
    training_service_pb2,
)
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceStub
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from embedding_studio.clickstream.v1.improvement_service_pb2_grpc import ImprovementServiceStub
from embedding_studio.clickstream.v1.model_service_pb2_grpc import ModelServiceStub
from embedding_studio.clickstream.v1.training_service_pb2_grpc import TrainingServiceStub
from pymongo.database import Database

from support.servers import ServeProcess, wait_for
from support.whole_path import play_searches, release, start_training, watch_to_the_end

FOLDER = Path(__file__).parent
MOST_BYTES = 1_000_000
MARKED, IMPROVED, CANCELED = "search-3", "search-5", "search-6"


def dump_of(version: str) -> Path:
    """The dump of a released version."""
    return FOLDER / f"database-{version}.jsonl.gz"


def play(channel: grpc.Channel, encoder: Path) -> dict[str, Any]:
    """Fills every collection by the RPCs; returns what a reader must find."""
    clickstream, improvement = ClickstreamServiceStub(channel), ImprovementServiceStub(channel)
    models, training = ModelServiceStub(channel), TrainingServiceStub(channel)
    sessions = play_searches(channel)
    clickstream.MarkSessionIrrelevant(clickstream_service_pb2.MarkSessionIrrelevantRequest(session_id=MARKED))
    batch_id = release(channel)
    inputs_sha256 = digest_of_inputs(training, batch_id)
    start_training(channel, batch_id, encoder, epochs=6)
    run = watch_to_the_end(channel)[-1]
    version = run.model_version.model_version_id
    if not run.model_version.gate_passed:
        raise SystemExit(f"the run made no model that passes its gate: {run.reason} {run.model_version.gate_reason}")
    models.PromoteModel(model_service_pb2.PromoteModelRequest(request_id="p-1", model_version_id=version))
    for session_id in (IMPROVED, CANCELED):
        improvement.UseSessionForImprovement(
            improvement_service_pb2.UseSessionForImprovementRequest(session_id=session_id)
        )
    improvement.CancelImprovementTask(improvement_service_pb2.CancelImprovementTaskRequest(session_id=CANCELED))
    late = clickstream_service_pb2.CreateSessionRequest()
    late.session.session_id, late.session.query = "late-1", "red lamp"
    late.session.results.add(object_id="red-lamp")
    clickstream.CreateSession(late)
    return {
        "sessions": sessions,
        "batch_id": batch_id,
        "inputs_sha256": inputs_sha256,
        "model_version_id": version,
        "collecting": BatchServiceStub(channel).GetBatch(batch_service_pb2.GetBatchRequest()).batch.batch_id,
    }


def digest_of_inputs(training: Any, batch_id: str) -> str:
    """SHA-256 over what a batch's training inputs say of sessions, results and events, grades left aside.

    Grades and the policy's version belong to the reader's importance policy, the rest to the data.
    """
    digest = hashlib.sha256()
    for response in training.StreamTrainingInputs(training_service_pb2.StreamTrainingInputsRequest(batch_id=batch_id)):
        one = response.input
        results = [[each.object_id, each.position, list(each.event_ids)] for each in one.results]
        digest.update(json.dumps([one.session_id, one.session_number, one.query, results]).encode())
    return digest.hexdigest()


def load(path: Path, database: Database[Any]) -> dict[str, Any]:
    """Puts a dump into a database that has our collections and no document; returns what a reader must find."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        expected: dict[str, Any] = json.loads(next(lines))
        for line in lines:
            row = json_util.loads(line)
            database[row["collection"]].replace_one({"_id": row["document"]["_id"]}, row["document"], upsert=True)
    return expected


def write(database: Database[Any], expected: dict[str, Any], path: Path) -> None:
    """Writes a dump, collections and documents in a fixed order."""
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        file.write((json.dumps(expected) + "\n").encode())
        for name in sorted(database.list_collection_names()):
            for document in database[name].find().sort("_id"):
                row = {"collection": name, "document": document}
                file.write((json_util.dumps(row, json_options=json_util.CANONICAL_JSON_OPTIONS) + "\n").encode())
    if path.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{path} has {path.stat().st_size} bytes; {MOST_BYTES} are allowed")


def make(version: str) -> Path:
    """Makes the dump of this version. Refuses to replace one: a released version's data do not change."""
    from support.tiny_encoder import make_tiny_encoder

    path = dump_of(version)
    if path.exists():
        raise SystemExit(f"{path} is there already: a released version's data do not change")
    with tempfile.TemporaryDirectory() as folder:
        encoder = make_tiny_encoder(Path(folder) / "tiny")
        server = ServeProcess(Path(folder) / "data", {"CLICKSTREAM_IMPROVEMENT_GROUP": "1000"})
        try:
            uri = re.search(r"embedded MongoDB on (\S+)", server.read_log().decode())
            with grpc.insecure_channel(server.address) as channel:
                expected = play(channel, encoder)
            with pymongo.MongoClient(uri[1], tz_aware=True) as client:  # type: ignore[index]
                database = client[os.environ.get("CLICKSTREAM_DATABASE", "clickstream")]
                wait_for(lambda: not database["training_runs"].count_documents({"promotion_due": {"$exists": True}}))
                write(database, expected, path)
        finally:
            server.terminate()
            server.wait()
    return path


if __name__ == "__main__":
    print(make(sys.argv[1]))
