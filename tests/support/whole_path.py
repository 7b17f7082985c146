"""The whole path as a client walks it: searches in, batch released, model trained."""

import random
from pathlib import Path

import grpc
from embedding_studio.clickstream.v1 import (
    batch_service_pb2,
    clickstream_service_pb2,
    session_pb2,
    training_service_pb2,
)
from embedding_studio.clickstream.v1 import fine_tuning_settings_pb2 as settings_pb
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceStub
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from embedding_studio.clickstream.v1.training_service_pb2_grpc import TrainingServiceStub

from support.shop_log import THINGS, WANTED

TIMEOUT = 60


def play_searches(channel: grpc.Channel) -> int:
    """Registers 160 searches of a shop whose customers say one word and mean another; returns how many."""
    clickstream = ClickstreamServiceStub(channel)
    source = random.Random(3)
    searches = [(wish, meant, thing) for wish, meant in WANTED.items() for thing in THINGS] * 2
    for number, (wish, meant, thing) in enumerate(searches):
        shown = [meant, *source.sample([other for other in WANTED.values() if other != meant], 5)]
        source.shuffle(shown)
        session = session_pb2.Session(session_id=f"search-{number}", query=f"{wish} {thing}")
        for word in shown:
            session.results.add(object_id=f"{word}-{thing}").meta["title"] = f"{word} {thing}"
        request = clickstream_service_pb2.CreateSessionRequest(session=session)
        assert clickstream.CreateSession(request, timeout=TIMEOUT).created
        click = session_pb2.Event(event_id=f"click-{number}", object_id=f"{meant}-{thing}", type="click")
        push = clickstream_service_pb2.PushEventsRequest(session_id=session.session_id, events=[click])
        assert clickstream.PushEvents(push, timeout=TIMEOUT).accepted_count == 1
    return len(searches)


def release(channel: grpc.Channel) -> str:
    """Releases the collecting batch; returns its id."""
    request = batch_service_pb2.ReleaseBatchRequest(release_id="acceptance")
    return str(BatchServiceStub(channel).ReleaseBatch(request, timeout=TIMEOUT).batch.batch_id)


def start_training(channel: grpc.Channel, batch_id: str, encoder: Path, *, epochs: int, folds: int = 1) -> None:
    """Queues the run `acceptance`, with a judgement for every search and one for an object that is never shown.

    One fold takes a third of the time of the product's own choice, `folds=0`.
    """
    settings = settings_pb.FineTuningSettings(
        base_model=str(encoder),
        item_template="{title}",
        epochs=epochs,
        batch_queries=16,
        learning_rate=1e-2,
        max_tokens=16,
        position_bias="none",
        folds=folds,
    )
    request = training_service_pb2.StartTrainingRequest(run_id="acceptance", batch_ids=[batch_id], settings=settings)
    for wish, meant in WANTED.items():
        for thing in THINGS:
            judged = request.judged_queries.add(query=f"{wish} {thing}")
            judged.judgements.add(object_id=f"{meant}-{thing}", grade=3)
    request.judged_queries[0].judgements.add(object_id="gone", grade=1)
    assert TrainingServiceStub(channel).StartTraining(request, timeout=TIMEOUT).created


def get_run(channel: grpc.Channel) -> runs_pb.TrainingRun:
    """The run as it is."""
    request = training_service_pb2.GetTrainingRunRequest(run_id="acceptance")
    return TrainingServiceStub(channel).GetTrainingRun(request, timeout=TIMEOUT).run


def watch_to_the_end(channel: grpc.Channel) -> list[runs_pb.TrainingRun]:
    """Every state of the run that a watcher sees; the last is its end."""
    request = training_service_pb2.WatchTrainingRunRequest(run_id="acceptance")
    return [each.run for each in TrainingServiceStub(channel).WatchTrainingRun(request, timeout=200)]
