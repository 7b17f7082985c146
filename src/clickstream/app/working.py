"""What a process that works on training runs and the improvement queue is made of."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta

from clickstream.app.clock import now
from clickstream.app.training import default_settings, fine_tuning
from clickstream.batches import BatchRules
from clickstream.dao.store import MongoDao
from clickstream.improvement import QueueRules
from clickstream.inputs import InputReader
from clickstream.runs import FineTuningSettings
from clickstream.servicers.fine_tuning import FineTuningClient
from clickstream.servicers.server import Server
from clickstream.settings import Settings
from clickstream.workers.batch_life import BatchLife
from clickstream.workers.improvement_runs import ImprovementQueue
from clickstream.workers.promotion import Promoter
from clickstream.workers.training_runs import TrainingRunWorker
from clickstream.workers.waking import Waking


@contextlib.asynccontextmanager
async def working(
    settings: Settings, dao: MongoDao, inputs: InputReader, trainer: str, waking: Waking
) -> AsyncIterator[None]:
    """Training runs and the improvement queue are worked on; a run in hand is given back at the end."""
    lease = timedelta(seconds=settings.run_lease)
    to_train = _improvement_settings(settings, dao)
    improvement = ImprovementQueue(dao, inputs, _queue_rules(settings), to_train, now, lease)
    client = FineTuningClient(trainer)
    upkeep = {
        "promotions": Promoter(dao, now, by_itself=settings.auto_promote).look_after,
        "batches": BatchLife(dao, _batch_rules(settings), now).look_after,
    }
    worker = TrainingRunWorker(dao, inputs, improvement, upkeep, client.fine_tune, now, lease, waking)
    tasks = [asyncio.create_task(worker.work()), asyncio.create_task(waking.follow(dao.changes))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.close()


def _queue_rules(settings: Settings) -> QueueRules:
    return QueueRules(
        least=settings.improvement_group,
        age=timedelta(seconds=settings.improvement_age),
        attempts=settings.improvement_attempts,
        backoff=timedelta(seconds=settings.improvement_backoff),
    )


def _batch_rules(settings: Settings) -> BatchRules:
    return BatchRules(
        release_sessions=settings.auto_release_sessions,
        release_age=timedelta(seconds=settings.auto_release_age),
        archive_after=timedelta(seconds=settings.archive_after),
    )


def _improvement_settings(settings: Settings, dao: MongoDao) -> Callable[[], FineTuningSettings]:
    """Tells how a run of the improvement queue that begins now trains: from the promoted model, if there is one."""

    def of_now() -> FineTuningSettings:
        promoted, defaults = dao.promotions.current(), default_settings(settings)
        return replace(defaults, base_model=promoted.model_version_id) if promoted else defaults

    return of_now


@contextlib.asynccontextmanager
async def trainer_of(settings: Settings) -> AsyncIterator[str]:
    """The address of the trainer that is named, or of one in this process."""
    if settings.trainer:
        yield settings.trainer
        return
    server = Server([fine_tuning(settings, default_settings(settings))])
    port = server.bind("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.drain(settings.shutdown_grace)
