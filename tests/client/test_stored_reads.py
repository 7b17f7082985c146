"""The reads of AdminClient: every method of the contract that schedulers call has one, and broken streams go on."""

import inspect
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from embedding_studio.clickstream.v1 import (
    batch_service_pb2,
    improvement_service_pb2,
    model_service_pb2,
    training_service_pb2,
)
from support.builders import event, push_request, session_drafts
from support.cookbook import train
from support.memory_store import MemoryDao
from support.servers import Clock, InProcessServer

from clickstream.client import AdminClient, streams
from clickstream.client.stored_reads import StoredReads

FILES = (batch_service_pb2, improvement_service_pb2, training_service_pb2, model_service_pb2)
PAGES_OF_STREAMS = {"GetBatchSessions"}
"""Methods without a method of the client, which reads the same as a stream."""


class Broken(grpc.RpcError):
    """The error of a stream that breaks off."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def trailing_metadata(self) -> None:
        return None


def breaking(method: Any, after: int, opened: list[Any]) -> Any:
    """A streaming method of which each call breaks off after some messages; notes the requests."""

    def stream(request: Any) -> Any:
        opened.append(type(request).FromString(request.SerializeToString()))
        for number, message in enumerate(method(request)):
            if number == after:
                raise Broken
            yield message

    return stream


@pytest.fixture
def server(memory_dao: MemoryDao, clock: Clock) -> Iterator[InProcessServer]:
    """A server whose time stands still."""
    with InProcessServer(memory_dao, clock) as server:
        yield server


@pytest.fixture
def admin(server: InProcessServer, monkeypatch: pytest.MonkeyPatch) -> AdminClient:
    """A client that does not pause, and a batch of five sessions with a click each, trained on by the run r-1."""
    monkeypatch.setattr(streams, "pause_before_retry", lambda *_: 0.0)
    server.dao.sessions.append(session_drafts(5))
    for number in range(1, 6):
        server.clickstream.PushEvents(push_request(f"s-{number}", event("e-1", "a")))
    client = AdminClient(server.channel)
    client.release_batch("night")
    return client


def numbers(messages: Any) -> list[int]:
    """The session numbers of inputs; 0 for other messages."""
    return [message.input.session_number for message in messages]


def test_every_method_for_schedulers_has_one_of_the_client() -> None:
    """Each RPC of the four services stands in the code of AdminClient."""
    source = inspect.getsource(AdminClient) + inspect.getsource(StoredReads)
    methods = {
        method.name
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    missing = {name for name in methods if f".{name}" not in source}
    assert missing == PAGES_OF_STREAMS
    undocumented = [name for name, member in inspect.getmembers(AdminClient) if name[0] != "_" and not member.__doc__]
    assert undocumented == []


def test_r9_sessions_of_a_broken_stream_come_once(admin: AdminClient) -> None:
    """R9: a stream that breaks after every second session yields each session once, in order."""
    opened: list[Any] = []
    admin._batches.StreamBatchSessions = breaking(admin._batches.StreamBatchSessions, 2, opened)
    assert [each.session_number for each in admin.batch_sessions("batch-1", events_limit=0)] == [1, 2, 3, 4, 5]
    assert [request.after_number for request in opened] == [0, 2, 4]
    assert {request.events_limit for request in opened} == {0}


def test_r14_inputs_of_a_broken_stream_come_once(admin: AdminClient) -> None:
    """R14: a broken stream goes on behind the last input, under the robot verdicts that it began with."""
    opened: list[Any] = []
    admin._training.StreamTrainingInputs = breaking(admin._training.StreamTrainingInputs, 2, opened)
    assert numbers(admin.training_inputs("batch-1")) == [1, 2, 3, 4, 5, 0]
    assert [request.HasField("robot_verdict_number") for request in opened] == [False, True, True]


def test_reads_of_runs_and_versions(admin: AdminClient, server: InProcessServer, tmp_path: Any) -> None:
    """The curve, the promotions and both directions of lineage are those of the service; a broken lineage goes on."""
    admin.start_training("r-1", ["batch-1"])
    version_id = train(server.dao, tmp_path, "r-1")
    assert [point.step for point in admin.training_curve("r-1")] == [1, 2]
    assert list(admin.promotions()) == []
    opened: list[Any] = []
    admin._models.StreamModelLineage = breaking(admin._models.StreamModelLineage, 3, opened)
    origin, *inputs = admin.model_lineage(version_id)
    assert origin.origin.model_version.model_version_id == version_id
    assert numbers(inputs) == [1, 2, 3, 4, 5]
    assert len(opened) == 3
    [run] = admin.session_lineage("s-3").runs
    assert run.model_version_id == version_id


def test_a_long_lineage_is_read_to_its_end(admin: AdminClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """All runs over a session's batch are listed, on however many pages they stand."""
    monkeypatch.setattr("clickstream.client.stored_reads.PAGE", 2)
    for number in range(5):
        admin.start_training(f"r-{number}", ["batch-1"])
    assert len(admin.session_lineage("s-1").runs) == 5


def test_the_task_of_a_session_is_read(admin: AdminClient) -> None:
    """A session that was put forward has a task, any other none."""
    admin.use_for_improvement("s-1")
    assert admin.improvement_task("s-1").session_number == 1
    with pytest.raises(grpc.RpcError):
        admin.improvement_task("s-2")
