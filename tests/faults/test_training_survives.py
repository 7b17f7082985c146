"""Training runs while the processes around them are killed."""

import json
from collections.abc import Callable
from pathlib import Path

import grpc
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from embedding_studio.clickstream.v1 import training_service_pb2
from embedding_studio.clickstream.v1.training_service_pb2_grpc import TrainingServiceStub
from support.servers import ServeProcess, wait_for
from support.whole_path import TIMEOUT, get_run, play_searches, release, start_training, watch_to_the_end

EPOCHS = 30
LEASE = "3"


def start_and_wait_for_checkpoint(server: ServeProcess, encoder: Path) -> None:
    """Plays searches, starts a long run, and returns after its first checkpoint."""
    with grpc.insecure_channel(server.address) as channel:
        play_searches(channel)
        start_training(channel, release(channel), encoder, epochs=EPOCHS)
        wait_for(lambda: get_run(channel).progress.step > 20, patience=180)  # long, as torch is imported first


def steps_seen(runs: list[runs_pb.TrainingRun], attempt: int) -> list[int]:
    """The steps of one attempt that a watcher saw."""
    return [run.progress.step for run in runs if run.attempts == attempt and run.progress.step]


def test_r16_a_run_outlives_its_server(serve: Callable[..., ServeProcess], tiny_encoder: Path) -> None:
    """R16: after kill -9 of server, worker, trainer and MongoDB, the next start resumes the run at its checkpoint."""
    first = serve(CLICKSTREAM_RUN_LEASE=LEASE)
    start_and_wait_for_checkpoint(first, tiny_encoder)
    first.kill()

    second = serve(CLICKSTREAM_RUN_LEASE=LEASE)
    with grpc.insecure_channel(second.address) as channel:
        runs = watch_to_the_end(channel)
    assert runs[-1].state == runs_pb.TRAINING_RUN_STATE_SUCCEEDED, runs[-1].reason
    assert runs[-1].attempts == 2
    assert min(steps_seen(runs, attempt=2)) > 10, "the run started from the beginning"


def test_r16_a_run_outlives_its_trainer(
    serve: Callable[..., ServeProcess], train: Callable[..., ServeProcess], tiny_encoder: Path
) -> None:
    """R16: after kill -9 of the trainer the run waits for a new one and continues from its checkpoint.

    Its curve has every step once.
    """
    trainer = train()
    server = serve(CLICKSTREAM_TRAINER=trainer.address)
    start_and_wait_for_checkpoint(server, tiny_encoder)
    trainer.kill()
    train(listen=trainer.address)
    with grpc.insecure_channel(server.address) as channel:
        runs = watch_to_the_end(channel)
        request = training_service_pb2.GetTrainingCurveRequest(run_id="acceptance")
        curve = TrainingServiceStub(channel).GetTrainingCurve(request, timeout=TIMEOUT).points
    assert runs[-1].state == runs_pb.TRAINING_RUN_STATE_SUCCEEDED, runs[-1].reason
    assert runs[-1].attempts >= 2
    assert min(steps_seen(runs, runs[-1].attempts)) > 10, "the run started from the beginning"
    # No step of the curve is missing or repeated.
    assert [point.step for point in curve] == list(range(runs[-1].progress.step_count + 1))
    assert all(point.HasField("loss") for point in curve[1:])
    lines = (Path(runs[-1].model_version.path) / "training_curve.jsonl").read_text().splitlines()
    assert sorted({json.loads(line)["step"] for line in lines}) == [point.step for point in curve]


def test_r16_cancel_stops_a_run_and_keeps_the_server(
    serve: Callable[..., ServeProcess], tiny_encoder: Path, tmp_path: Path
) -> None:
    """R16: a canceled run ends as canceled with a reason, leaves no model, and the batch can be trained again."""
    server = serve()
    start_and_wait_for_checkpoint(server, tiny_encoder)
    with grpc.insecure_channel(server.address) as channel:
        request = training_service_pb2.CancelTrainingRunRequest(run_id="acceptance")
        TrainingServiceStub(channel).CancelTrainingRun(request, timeout=TIMEOUT)
        run = watch_to_the_end(channel)[-1]
        assert run.state == runs_pb.TRAINING_RUN_STATE_CANCELED
        assert "request" in run.reason
        assert run.progress.step < run.progress.step_count
        assert not list((tmp_path / "data" / "models").glob("*"))

        again = training_service_pb2.StartTrainingRequest(run_id="again", batch_ids=run.batch_ids)
        again.settings.CopyFrom(run.settings)
        again.settings.epochs = 1
        TrainingServiceStub(channel).StartTraining(again, timeout=TIMEOUT)
        watched = training_service_pb2.WatchTrainingRunRequest(run_id="again")
        last = list(TrainingServiceStub(channel).WatchTrainingRun(watched, timeout=120))[-1].run
    assert last.state == runs_pb.TRAINING_RUN_STATE_SUCCEEDED, last.reason
