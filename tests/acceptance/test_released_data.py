"""This version reads the data of every released version."""

import pytest
from embedding_studio.clickstream.v1 import (
    batch_service_pb2,
    clickstream_service_pb2,
    improvement_service_pb2,
    model_service_pb2,
    training_run_pb2,
    training_service_pb2,
)
from pymongo.database import Database
from support import database_dump
from support.servers import Clock, InProcessServer

from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.schema import prepare_schema
from clickstream.dao.mongo.store import MongoDao

VERSIONS = sorted(
    path.name.removeprefix("database-").removesuffix(".jsonl.gz") for path in database_dump.FOLDER.glob("database-*")
)


def test_there_is_released_data() -> None:
    """The dump of 0.2.0, the first version whose data stay readable, is kept, and every dump is small."""
    assert "0.2.0" in VERSIONS
    assert all(database_dump.dump_of(version).stat().st_size < database_dump.MOST_BYTES for version in VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
def test_r14_every_collection_of_a_released_version_is_read(
    version: str, database: Database[Document], clock: Clock
) -> None:
    """R9, R14: sessions, events, marks, frozen pages, runs, promotions and the queue read as they were written."""
    expected = database_dump.load(database_dump.dump_of(version), database)
    prepare_schema(database)
    with InProcessServer(MongoDao(database), clock) as server:
        got = server.clickstream.GetSession(clickstream_service_pb2.GetSessionRequest(session_id="search-0"))
        assert got.stored_session.session.query
        assert [event.event_id for event in got.stored_session.events] == ["click-0"]
        marked = clickstream_service_pb2.GetSessionRequest(session_id=database_dump.MARKED)
        assert server.clickstream.GetSession(marked).stored_session.irrelevant

        request = batch_service_pb2.StreamBatchSessionsRequest(batch_id=expected["batch_id"], include_irrelevant=True)
        numbers = [each.stored_session.session_number for each in server.batch.StreamBatchSessions(request)]
        assert numbers == list(range(1, expected["sessions"] + 1))
        collecting = server.batch.GetBatch(batch_service_pb2.GetBatchRequest()).batch
        assert (collecting.batch_id, collecting.session_count) == (expected["collecting"], 1)

        assert database_dump.digest_of_inputs(server.training, expected["batch_id"]) == expected["inputs_sha256"]
        [run] = server.training.ListTrainingRuns(training_service_pb2.ListTrainingRunsRequest()).runs
        assert run.state == training_run_pb2.TRAINING_RUN_STATE_SUCCEEDED
        assert run.model_version.model_version_id == expected["model_version_id"]
        curve = server.training.GetTrainingCurve(training_service_pb2.GetTrainingCurveRequest(run_id=run.run_id))
        assert curve.points
        versions = server.model.ListModelVersions(model_service_pb2.ListModelVersionsRequest())
        assert versions.serving_model_version_id == expected["model_version_id"]

        tasks = server.improvement.ListImprovementTasks(improvement_service_pb2.ListImprovementTasksRequest()).tasks
        states = {task.session_id: task.state for task in tasks}
        assert states == {
            database_dump.IMPROVED: improvement_service_pb2.IMPROVEMENT_STATE_PENDING,
            database_dump.CANCELED: improvement_service_pb2.IMPROVEMENT_STATE_CANCELED,
        }
