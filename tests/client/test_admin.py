"""The client of schedulers: streams that break, and settings from the command line."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from embedding_studio.clickstream.v1 import training_service_pb2 as training
from embedding_studio.clickstream.v1 import training_service_pb2_grpc as training_grpc
from support.builders import push, session_drafts
from support.scripted_models import ScriptedModels, serving_models, vector_of
from support.servers import InProcessServer

from clickstream.cli.run_settings import parse_settings
from clickstream.client import streams
from clickstream.client.admin import AdminClient


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
def service() -> Iterator[tuple[BrokenWatches, AdminClient]]:
    """The service and a client of it."""
    service = BrokenWatches()
    server = grpc.server(ThreadPoolExecutor(4))
    training_grpc.add_TrainingServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield service, AdminClient(channel)
    server.stop(None).wait()


def test_r16_a_broken_watch_is_opened_again(service) -> None:
    """R16: the run outlives its watchers: a stream that ends with UNAVAILABLE is opened again, however often."""
    kept, client = service
    kept.breaks = 3
    states = [run.state for run in client.watch_training("run-1")]
    running, succeeded = runs_pb.TRAINING_RUN_STATE_RUNNING, runs_pb.TRAINING_RUN_STATE_SUCCEEDED
    assert states == [running] * 4 + [succeeded]


def test_r21_watching_ends_without_any_message(service, monkeypatch: pytest.MonkeyPatch) -> None:
    """R21: if streams only break, the watch fails after `PATIENCE_SECONDS`."""
    kept, client = service
    monkeypatch.setattr(streams, "PATIENCE_SECONDS", 0.5)
    kept.silent, kept.breaks = True, 1_000
    with pytest.raises(grpc.RpcError, match="restarting"):
        list(client.watch_training("run-1"))
    assert kept.breaks < 999


def test_settings_are_read_by_the_contract() -> None:
    """Numbers are numbers; text stays as it is typed, also where it looks like a number or like JSON."""
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
    """The error quotes the assignment, and no call is made."""
    with pytest.raises(ValueError, match=f"'{assignment}'".replace("[", r"\[")):
        parse_settings([assignment])


def test_r21_a_broken_download_goes_on_behind_the_last_byte() -> None:
    """R21: a stream that ends with UNAVAILABLE is opened again where it broke, and no byte comes twice."""
    models = ScriptedModels()
    models.files = {"a": bytes(range(256)) * 1_000, "b": b"b" * 100_000}
    models.breaks = 3
    with serving_models(models) as address, grpc.insecure_channel(address) as channel:
        chunks = list(AdminClient(channel).download("version-1"))
    content: dict[str, bytes] = {}
    for chunk in chunks:
        assert len(content.setdefault(chunk.file_name, b"")) == chunk.offset
        content[chunk.file_name] += chunk.data
    assert content == models.files
    assert len(models.asked) == len(set(models.asked)) == 4


def test_a_full_embedding_queue_is_waited_for() -> None:
    """EMBED_QUEUE_FULL passes: the call is repeated, and then answered."""
    models = ScriptedModels()
    models.full = 2
    with serving_models(models) as address, grpc.insecure_channel(address) as channel:
        answer = AdminClient(channel).embed(["hat"], "query", "version-1")
    assert list(answer.embeddings[0].values) == pytest.approx(vector_of("hat"))
    assert len(models.texts) == 3


def test_r15_a_session_is_put_into_the_queue_once(server: InProcessServer) -> None:
    """R15: the first call queues the session, and a second one returns the same task."""
    server.dao.sessions.append(session_drafts(1))
    server.dao.events.append([push("s-1", "e-1")])
    client = AdminClient(server.channel)
    first, second = client.use_for_improvement("s-1"), client.use_for_improvement("s-1")
    assert (first.created, second.created) == (True, False)
    assert first.task == second.task
    assert first.task.session_id == "s-1"
