"""`clickstream serve`: one serving process, or several."""

import asyncio
import contextlib
import gc
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from clickstream.app.clock import now
from clickstream.app.database import mongodb_uri, store
from clickstream.app.doors import Doors, doors, kept_up_to_date, private_address, trainer_address
from clickstream.app.figures import answers, keeping_roll_ups
from clickstream.app.metrics import metrics_of, read_server, read_writes, shown, signals_of, socket_of, telemetry_of
from clickstream.app.process import prepare_log, until_stopped
from clickstream.app.settings import Settings
from clickstream.app.store_figures import read_store
from clickstream.app.supervisor import internally_reserved, reserved, running
from clickstream.app.trainer import (
    default_settings,
    fine_tuning,
    load_from,
    model_host,
)
from clickstream.app.worker import working
from clickstream.conversion.importance import ImportancePolicy, load_policy
from clickstream.conversion.reader import InputReader
from clickstream.dao.group_commit import GroupCommit
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.analytics import parse_segments
from clickstream.models.embedding_queue import EmbeddingQueue
from clickstream.quality.robot_policy import RobotPolicy, load_robot_policy
from clickstream.servicers.access.scopes import Scope
from clickstream.servicers.analytics import AnalyticsServicer
from clickstream.servicers.batches import BatchServicer
from clickstream.servicers.checks.fields import Window
from clickstream.servicers.clickstream import ClickstreamServicer
from clickstream.servicers.improvement import ImprovementServicer
from clickstream.servicers.models import ModelServicer
from clickstream.servicers.readiness import keep_readiness
from clickstream.servicers.refusal_counts import RefusalCounts
from clickstream.servicers.server import Listening, Server
from clickstream.servicers.training import TrainingServicer
from clickstream.telemetry.metrics import Metrics
from clickstream.telemetry.processes import Processes
from clickstream.trainer_client.model_host import ModelHostClient
from clickstream.workers.wake_signal import WakeSignal

MEGABYTE = 1024 * 1024


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM, SIGINT or SIGHUP, then drains.

    Raises:
        ValueError: A policy or the declared segments cannot be used.
        StartError: The port, the embedded MongoDB or the data in the store cannot be used.
        errors.Unavailable: The store does not answer.
    """
    prepare_log(settings)
    policy = load_policy(settings.importance_policy)
    robot_policy = load_robot_policy(settings.robot_policy)
    parse_segments(settings.segments)  # a mistake is reported before anything starts
    opening = doors(settings)
    metrics = metrics_of(settings)
    signals = signals_of(metrics)
    async with mongodb_uri(settings, signals) as uri:
        with store(settings, uri, signals) as dao:
            async with _serving(settings, opening, policy, robot_policy, dao, metrics) as addresses:
                await until_stopped(settings, *addresses)


async def serve_in_processes(settings: Settings) -> None:
    """Serves from `settings.processes` processes on one port until SIGTERM, SIGINT or SIGHUP, then drains them all.

    Raises:
        ValueError: A policy or the declared segments cannot be used.
        StartError: The port, a process, the embedded MongoDB or the data in the store cannot be used.
        errors.Unavailable: The store does not answer.
    """
    prepare_log(settings)
    parse_segments(settings.segments)
    load_robot_policy(settings.robot_policy)
    load_policy(settings.importance_policy)  # also here, so that a mistake is reported once and not by each process
    doors(settings)
    with reserved(settings.listen) as address, internally_reserved(settings) as internal:
        metrics = metrics_of(settings)
        async with mongodb_uri(settings, signals_of(metrics)) as uri:
            with store(settings, uri):
                pass
            async with (
                _shown_together(settings, metrics, uri) as (folder, shows),
                running(settings, address, internal, uri, folder) as names,
            ):
                shows(names)
                await until_stopped(settings, address, *([internal] if internal else []))


@contextlib.asynccontextmanager
async def _shown_together(
    settings: Settings, metrics: Metrics | None, uri: str
) -> AsyncIterator[tuple[str, Callable[[Sequence[str]], None]]]:
    """Shows the figures of all processes, and those of the store, on one port.

    Yields the folder where each process is to show its own, "" for none, and what takes the names of the processes.
    """
    if metrics is None:
        yield "", lambda names: None
        return
    with store(settings, uri) as dao, tempfile.TemporaryDirectory(prefix="clickstream-") as folder:
        processes = Processes(lambda name: socket_of(Path(folder), name))
        metrics.registry.register(processes)
        read_store(metrics, dao, now)
        async with shown(settings, metrics, processes.is_ready):
            yield folder, processes.name


@contextlib.asynccontextmanager
async def _serving(
    settings: Settings,
    opening: Doors,
    policy: ImportancePolicy,
    robot_policy: RobotPolicy,
    dao: MongoDao,
    metrics: Metrics | None,
) -> AsyncIterator[list[str]]:
    """Serves, and yields the addresses, with port 0 resolved."""
    signals, telemetry = signals_of(metrics), telemetry_of(settings, metrics)
    commit = GroupCommit(dao, max_waiting_bytes=settings.write_queue_mb * MEGABYTE, signals=signals)
    inputs = InputReader(dao, policy)
    defaults = default_settings(settings)
    wake_signal = WakeSignal()
    refusals = RefusalCounts(dao.refusals, now)
    services = [
        ClickstreamServicer(dao, commit, Window(settings.created_at_back, settings.created_at_ahead), refusals, now),
        BatchServicer(dao, now),
        ImprovementServicer(dao, now, defaults),
        TrainingServicer(dao, inputs, defaults, now, wake_signal.wake),
        AnalyticsServicer(lambda: answers(settings, policy, robot_policy, dao), dao, robot_policy.version, now),
    ]
    embedding = EmbeddingQueue(load_from(settings.data_dir.absolute()))
    if not settings.trainer:
        services += [fine_tuning(settings, defaults, signals), model_host(settings, embedding)]
    host = ModelHostClient()
    services.append(ModelServicer(dao, inputs, host, now))
    server = Server(services, opening.call_limits, opening.audit, telemetry)
    read_server(metrics, telemetry, server, opening.listenings)
    read_writes(metrics, commit, refusals)
    if settings.ready_fd is None:  # otherwise the supervisor reads the store for all its processes
        read_store(metrics, dao, now)
    addresses = [server.listen(listening) for listening in opening.listenings]
    with private_address() as own:
        if not settings.trainer:
            server.listen(Listening(own, only=Scope.TRAINER, reflection=False))
        trainer = trainer_address(settings, settings.trainer or own)
        host.connect(trainer)
        # The objects made so far stay as long as the process: frozen, they cost the garbage collector nothing.
        gc.collect()
        gc.freeze()
        await server.start()
        tasks = [
            asyncio.create_task(each) for each in (keep_readiness(server, dao.ping, signals), refusals.keep_flushing())
        ]
        try:
            works = working(settings, dao, inputs, trainer, wake_signal, signals)
            async with (
                shown(settings, metrics, lambda: server.ready),
                kept_up_to_date([*opening.from_files, *host.channels], signals),
                keeping_roll_ups(settings, policy, robot_policy, dao, serving=True),
                works if settings.run_training else nullcontext(),
            ):
                yield addresses
        finally:
            for task in tasks:
                task.cancel()
            await server.drain(settings.shutdown_grace, process_ends=True)
            await refusals.flush()
            await host.close()
            await embedding.close()
            await commit.close()
