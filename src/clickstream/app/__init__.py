"""The one composition root: makes every part, hands each what it needs, and stops them in order."""

import contextlib
import gc
from collections.abc import AsyncIterator
from contextlib import nullcontext

from clickstream.app.clock import now
from clickstream.app.database import mongodb_uri, store
from clickstream.app.process import say, say_up, until_told_to_stop
from clickstream.app.training import (
    default_settings,
    fine_tuning,
    follow_trainer,
    leading,
    load_from,
    model_host,
    packaged_model,
)
from clickstream.app.working import trainer_of, working
from clickstream.commit import GroupCommit
from clickstream.dao.store import MongoDao
from clickstream.embedding import Embedding
from clickstream.inputs import InputReader
from clickstream.policy import ImportancePolicy, load_policy
from clickstream.servicers import wire
from clickstream.servicers.batch import BatchServicer
from clickstream.servicers.clickstream import ClickstreamServicer
from clickstream.servicers.model_host import ModelHostClient
from clickstream.servicers.models import ModelServicer
from clickstream.servicers.server import (
    Server,
    batch_service,
    clickstream_service,
    model_service,
    training_service,
)
from clickstream.servicers.training import TrainingServicer
from clickstream.servicers.validation import Window
from clickstream.settings import Settings
from clickstream.supervisor import reserved, running
from clickstream.workers.waking import Waking

__all__ = ["follow_trainer", "packaged_model", "serve", "serve_in_processes", "serve_trainer", "work"]

MEGABYTE = 1024 * 1024


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then drains.

    Raises:
        ValueError: the importance policy cannot be used.
        EmbeddedMongoError, ListenError, errors.Unavailable: what serving needs is not to be had.
    """
    policy = load_policy(settings.importance_policy)
    async with mongodb_uri(settings) as uri:
        with store(settings, uri) as dao:
            async with _serving(settings, policy, dao):
                await until_told_to_stop(settings)


async def serve_in_processes(settings: Settings) -> None:
    """Serves from `settings.processes` processes on one port until SIGTERM or SIGINT, then drains them all.

    Raises:
        ValueError, EmbeddedMongoError, StartError, errors.Unavailable: what serving needs is not to be had.
    """
    load_policy(settings.importance_policy)  # here too, so that one process says what is wrong, and not each
    with reserved(settings.listen) as address:
        async with mongodb_uri(settings) as uri:
            with store(settings, uri):
                pass
            async with running(settings, address, uri):
                say(f"listening on {address}")
                await until_told_to_stop(settings)


@contextlib.asynccontextmanager
async def _serving(settings: Settings, policy: ImportancePolicy, dao: MongoDao) -> AsyncIterator[None]:
    commit = GroupCommit(dao, max_waiting_bytes=settings.write_queue_mb * MEGABYTE)
    inputs = InputReader(dao, policy, wire.search_session)
    defaults = default_settings(settings)
    waking = Waking()
    services = [
        clickstream_service(
            ClickstreamServicer(dao, commit, Window(settings.created_at_back, settings.created_at_ahead), now)
        ),
        batch_service(BatchServicer(dao, now, defaults)),
        training_service(TrainingServicer(dao, inputs, defaults, now, waking.wake)),
    ]
    embedding = Embedding(load_from(settings.data_dir.absolute()))
    if not settings.trainer:
        services += [fine_tuning(settings, defaults), model_host(settings, embedding)]
    host = ModelHostClient()
    services.append(model_service(ModelServicer(dao, inputs, host, now)))
    server = Server(services, reuse_port=settings.reuse_port)
    port = server.bind(settings.listen)
    address = f"{settings.listen.rpartition(':')[0]}:{port}"
    trainer = settings.trainer or _reachable(address)
    host.connect(trainer)
    # What is there by now stays: the collector need not walk it again and again.
    gc.collect()
    gc.freeze()
    await server.start()
    try:
        async with working(settings, dao, inputs, trainer, waking) if settings.run_training else nullcontext():
            say_up(settings, address)
            yield
    finally:
        await server.drain(settings.shutdown_grace)
        await host.close()
        await embedding.close()
        await commit.close()


async def work(settings: Settings) -> None:
    """Works on training runs and the improvement queue, serving nothing, until SIGTERM or SIGINT.

    Raises:
        ValueError: no database is named, or the importance policy cannot be used.
        ListenError, errors.Unavailable: what working needs is not to be had.
    """
    if not settings.mongodb_uri:
        raise ValueError("a worker works on the database of a running service: name it in MONGODB_URI")
    policy = load_policy(settings.importance_policy)
    with store(settings, settings.mongodb_uri) as dao:
        inputs = InputReader(dao, policy, wire.search_session)
        async with (
            trainer_of(settings) as trainer,
            working(settings, dao, inputs, trainer, Waking()),
        ):
            say("working")
            await until_told_to_stop(settings)


async def serve_trainer(settings: Settings) -> None:
    """Serves the fine-tuning module alone until SIGTERM or SIGINT. Raises ListenError."""
    embedding = Embedding(load_from(settings.data_dir.absolute()))
    services = [fine_tuning(settings, default_settings(settings)), model_host(settings, embedding)]
    server = Server(services, reuse_port=settings.reuse_port)
    port = server.bind(settings.listen)
    with leading():
        await server.start()
        say_up(settings, f"{settings.listen.rpartition(':')[0]}:{port}")
        try:
            await until_told_to_stop(settings)
        finally:
            await server.drain(settings.shutdown_grace)
            await embedding.close()


def _reachable(address: str) -> str:
    """Where this process reaches its own server."""
    host, _, port = address.rpartition(":")
    return f"127.0.0.1:{port}" if host in ("0.0.0.0", "[::]", "") else address
