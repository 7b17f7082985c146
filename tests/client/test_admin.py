"""Training runs seen from a client."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from embedding_studio.clickstream.v1 import training_service_pb2 as training
from embedding_studio.clickstream.v1 import training_service_pb2_grpc as training_grpc

from clickstream.cli.run_settings import parse_settings
from clickstream.client import admin
from clickstream.client.admin import watch_training
from clickstream.client.calls import training_stub


class BrokenWatches(training_grpc.TrainingServiceServicer):
    """A run that is running for `breaks` watches, which break off, and has ended in the next."""

    def __init__(self) -> None:
        self.breaks = 0
        self.silent = False

    def GetTrainingRun(self, request, context):
        return training.GetTrainingRunResponse(run=runs_pb.TrainingRun(run_id=request.run_id))

    def WatchTrainingRun(self, request, context):
        if not self.silent:
            yield training.WatchTrainingRunResponse(run=runs_pb.TrainingRun(state=runs_pb.TRAINING_RUN_STATE_RUNNING))
        if self.breaks:
            self.breaks -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")
        yield training.WatchTrainingRunResponse(run=runs_pb.TrainingRun(state=runs_pb.TRAINING_RUN_STATE_SUCCEEDED))


@pytest.fixture
def service() -> Iterator[tuple[BrokenWatches, object]]:
    """The service and a stub of it."""
    service = BrokenWatches()
    server = grpc.server(ThreadPoolExecutor(4))
    training_grpc.add_TrainingServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield service, training_stub(channel)
    server.stop(None).wait()


def test_r16_a_broken_watch_is_taken_up_again(service) -> None:
    """R16: the run outlives its watchers; UNAVAILABLE in the middle of a stream is no end, however often with news."""
    kept, stub = service
    kept.breaks = 3
    states = [run.state for run in watch_training(stub, "run-1")]
    running, succeeded = runs_pb.TRAINING_RUN_STATE_RUNNING, runs_pb.TRAINING_RUN_STATE_SUCCEEDED
    assert states == [running] * 4 + [succeeded]


def test_r21_watching_ends_where_nothing_is_heard(service, monkeypatch: pytest.MonkeyPatch) -> None:
    """R21: a server that only breaks watches off is given up after a time."""
    kept, stub = service
    monkeypatch.setattr(admin, "PATIENCE_SECONDS", 0.5)
    kept.silent, kept.breaks = True, 1_000
    with pytest.raises(grpc.RpcError, match="restarting"):
        list(watch_training(stub, "run-1"))
    assert kept.breaks < 999


def test_settings_are_read_by_the_contract() -> None:
    """Numbers as numbers, text as it is typed, also where it looks like a number or like JSON."""
    settings = parse_settings(
        ["epochs=7", "learning_rate=2e-4", "base_model=7", "item_template={title}. {a=b}", "seed=-3"]
    )
    assert (settings.epochs, settings.learning_rate, settings.seed) == (7, 2e-4, -3)
    assert (settings.base_model, settings.item_template) == ("7", "{title}. {a=b}")
    assert not settings.HasField("temperature")


@pytest.mark.parametrize(
    "assignment", ["epochs", "epochs=", "epochs=many", "epochs=1.5", "epoch=1", "=1", "epochs=[1]"]
)
def test_a_setting_that_cannot_be_one_is_named(assignment: str) -> None:
    """What is wrong is said with the assignment itself, before any call."""
    with pytest.raises(ValueError, match=f"'{assignment}'".replace("[", r"\[")):
        parse_settings([assignment])
