"""`clickstream worker`, and the work that a serving process does beside serving."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError
from dataclasses import replace
from datetime import timedelta

from clickstream.app.clock import now
from clickstream.app.database import store
from clickstream.app.doors import kept_up_to_date, private_address, trainer_address
from clickstream.app.figures import keeping_roll_ups
from clickstream.app.metrics import metrics_of, shown, signals_of, watch_trainer
from clickstream.app.process import prepare_log, until_stopped
from clickstream.app.settings import Settings
from clickstream.app.trainer import default_settings, fine_tuning, load_from, model_host
from clickstream.conversion.importance import load_policy
from clickstream.conversion.reader import InputReader
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.analytics import parse_segments
from clickstream.domain.batches import BatchRules
from clickstream.domain.errors import Reason, Unavailable
from clickstream.domain.improvement import QueueRules
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.promotions import PromotionOrder, starting_model
from clickstream.domain.runs import FineTuningSettings
from clickstream.domain.signals import NoSignals, Signals
from clickstream.models.embedding_queue import EmbeddingQueue
from clickstream.models.promoting import Promoting
from clickstream.quality.robot_policy import load_robot_policy
from clickstream.servicers.server import Listening, Server
from clickstream.trainer_client.channel import TrainerAddress
from clickstream.trainer_client.fine_tuning import FineTuningClient
from clickstream.trainer_client.model_host import ModelHostClient
from clickstream.workers.batch_upkeep import BatchUpkeep
from clickstream.workers.improvement_queue import ImprovementQueue
from clickstream.workers.promoter import Promote, Promoter
from clickstream.workers.run_batches import RunBatches
from clickstream.workers.run_leases import RunLeases
from clickstream.workers.run_source import RunSources
from clickstream.workers.run_worker import RunWorker
from clickstream.workers.wake_signal import WakeSignal

NO_SIGNALS = NoSignals()

LOAD_SECONDS = 300.0
"""How long a trainer may take to load a version that is to be promoted."""


async def work(settings: Settings) -> None:
    """Works on training runs and the improvement queue, serving nothing, until SIGTERM, SIGINT or SIGHUP.

    Raises:
        ValueError: MONGODB_URI is not set, or a policy or the declared segments cannot be used.
        StartError: The data in the store cannot be used.
        errors.Unavailable: The store does not answer.
    """
    prepare_log(settings)
    if not settings.mongodb_uri:
        raise ValueError("a worker works on the database of a running service: name it in MONGODB_URI")
    policy = load_policy(settings.importance_policy)
    parse_segments(settings.segments)
    robot_policy = load_robot_policy(settings.robot_policy)
    metrics = metrics_of(settings)
    signals = signals_of(metrics)
    with store(settings, settings.mongodb_uri, signals) as dao:
        inputs = InputReader(dao, policy)
        async with (
            trainer_of(settings, signals) as trainer,
            keeping_roll_ups(settings, policy, robot_policy, dao, serving=False),
            working(settings, dao, inputs, trainer, WakeSignal(), signals),
            shown(settings, metrics, lambda: True),  # it takes no calls: nothing is to be kept from it
        ):
            await until_stopped(settings)


@contextlib.asynccontextmanager
async def working(
    settings: Settings,
    dao: MongoDao,
    inputs: InputReader,
    trainer: TrainerAddress,
    wake_signal: WakeSignal,
    signals: Signals = NO_SIGNALS,
) -> AsyncIterator[None]:
    """Works on training runs and the improvement queue until the block ends; then it releases its run to others."""
    lease = timedelta(seconds=settings.run_lease)
    to_train = _improvement_settings(settings, dao)
    improvement = ImprovementQueue(dao, inputs, _queue_rules(settings), to_train, now, lease)
    client, host = FineTuningClient(trainer), ModelHostClient()
    host.connect(trainer)
    upkeep = {
        "promotions": Promoter(dao, _promote(dao, host) if settings.auto_promote else None).run_once,
        "batches": BatchUpkeep(dao, _batch_rules(settings), now).run_once,
        "improvement queue": improvement.run_once,
    }
    sources = RunSources(RunBatches(dao, inputs, now), improvement)
    leases = RunLeases(dao.runs, now, lease)
    worker = RunWorker(dao, sources, upkeep, client.fine_tune, leases, wake_signal, promotes=settings.auto_promote)
    tasks = [
        asyncio.create_task(worker.work()),
        asyncio.create_task(wake_signal.follow(dao.changes)),
        asyncio.create_task(watch_trainer(lambda: host.channel, signals)),
    ]
    try:
        async with kept_up_to_date([client.channel, *host.channels], signals, "worker"):
            yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.close()
        await host.close()


def _promote(dao: MongoDao, host: ModelHostClient) -> Promote:
    """Promotes versions that the trainer can load, from a thread beside the running event loop."""
    promoting, loop = Promoting(dao.promotions, host.load, now), asyncio.get_running_loop()

    def promote(version: ModelVersion, order: PromotionOrder) -> None:
        promotion = asyncio.run_coroutine_threadsafe(promoting.promote(version, order, LOAD_SECONDS), loop)
        try:
            promotion.result()
        except CancelledError as error:
            raise Unavailable(Reason.SHUTTING_DOWN, "the worker stops") from error

    return promote


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
    """Says how a run of the improvement queue that begins now trains: as StartTraining would by default."""

    def of_now() -> FineTuningSettings:
        defaults = default_settings(settings)
        return replace(defaults, base_model=starting_model("", defaults.base_model, dao.promotions.current()))

    return of_now


@contextlib.asynccontextmanager
async def trainer_of(settings: Settings, signals: Signals = NO_SIGNALS) -> AsyncIterator[TrainerAddress]:
    """Yields the address of the configured trainer, or of one that it starts in this process."""
    if settings.trainer:
        yield trainer_address(settings, settings.trainer)
        return
    embedding = EmbeddingQueue(load_from(settings.data_dir.absolute()))
    server = Server([fine_tuning(settings, default_settings(settings), signals), model_host(settings, embedding)])
    with private_address() as own:
        server.listen(Listening(own, reflection=False))
        await server.start()
        try:
            yield TrainerAddress(own)
        finally:
            await server.drain(settings.shutdown_grace)
            await embedding.close()
