"""Scripted fine-tuning modules, and workers that call them over the store in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from clickstream.conversion.reader import InputReader
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.batches import BatchRules
from clickstream.domain.improvement import QueueRules
from clickstream.domain.judgements import JudgedQuery
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import ENDED, Phase, RunState, TrainingProgress
from clickstream.domain.training_inputs import TrainingInput
from clickstream.workers.batch_upkeep import BatchUpkeep
from clickstream.workers.improvement_queue import ImprovementQueue
from clickstream.workers.promoter import Promote, Promoter
from clickstream.workers.run_batches import RunBatches
from clickstream.workers.run_leases import RunLeases
from clickstream.workers.run_source import RunSources
from clickstream.workers.run_worker import RunWorker
from clickstream.workers.wake_signal import WakeSignal
from support.builders import model_version
from support.memory_store import MemoryDao
from support.servers import DEFAULTS, POLICY, Clock, until

LEASE = 10
RULES = QueueRules(least=3, age=timedelta(seconds=60), attempts=3, backoff=timedelta(seconds=20))
REPORT = TrainingProgress(Phase.TRAINING, step=1, step_count=2)
FineTune = Callable[[str, Any, AsyncIterator[TrainingInput], Sequence[JudgedQuery]], AsyncIterator[Any]]


class Module:
    """A fine-tuning module that reads all inputs and then returns, or raises, what `then` does."""

    def __init__(self, then: Callable[[], Any] = model_version) -> None:
        self.calls: list[list[str]] = []
        self.closed = 0
        self.judged: Sequence[JudgedQuery] = ()
        self.then = then

    async def __call__(
        self,
        run_id: str,
        settings: Any,
        inputs: AsyncIterator[TrainingInput],
        judged: Sequence[JudgedQuery],
        earlier_runs: int,
    ) -> AsyncIterator[TrainingProgress | ModelVersion]:
        """The module's stream."""
        self.judged = judged
        self.calls.append([each.session_id async for each in inputs])
        try:
            yield REPORT
            made = self.then()
            yield replace(made, run_id=run_id) if isinstance(made, ModelVersion) else made
        finally:
            self.closed += 1


class Endless(Module):
    """A module that trains until it is stopped."""

    async def __call__(
        self,
        run_id: str,
        settings: Any,
        inputs: AsyncIterator[TrainingInput],
        judged: Sequence[JudgedQuery],
        earlier_runs: int,
    ) -> AsyncIterator[Any]:
        """The module's stream."""
        self.calls.append([each.session_id async for each in inputs])
        try:
            yield REPORT
            await asyncio.Event().wait()
        finally:
            self.closed += 1


def worker(dao: MemoryDao, fine_tune: FineTune, clock: Clock, *, promotes: bool = True) -> RunWorker:
    """A worker, composed as in a server."""
    improvement = queue(dao, clock)
    upkeep = {
        "batches": BatchUpkeep(dao, BatchRules(), clock).run_once,
        "promotions": Promoter(dao, promoting(dao, clock) if promotes else None).run_once,
        "improvement queue": improvement.run_once,
    }
    sources = RunSources(RunBatches(dao, InputReader(dao, POLICY), clock), improvement)
    leases = RunLeases(dao.runs, clock, timedelta(seconds=LEASE))
    return RunWorker(dao, sources, upkeep, fine_tune, leases, WakeSignal(), promotes=promotes)


def promoting(dao: ClickstreamDao, clock: Callable[[], datetime]) -> Promote:
    """Promotes a version as if every trainer could load it."""
    return lambda version, order: dao.promotions.append(order, clock())


def queue(dao: ClickstreamDao, clock: Callable[[], datetime]) -> ImprovementQueue:
    """The improvement queue of a worker."""
    inputs = InputReader(dao, POLICY)
    return ImprovementQueue(dao, inputs, RULES, lambda: DEFAULTS, clock, timedelta(seconds=LEASE))


def play(*workers: tuple[MemoryDao, FineTune, Clock], scenario: Callable[[], Any], promotes: bool = True) -> None:
    """Runs one worker per (store, fine-tuning module, clock) until the scenario has ended."""

    async def run() -> None:
        working = [asyncio.create_task(worker(*each, promotes=promotes).work()) for each in workers]
        try:
            await asyncio.wait_for(scenario(), 30)
            assert not any(task.done() for task in working)
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)

    asyncio.run(run())


def raising(error: Exception) -> Callable[[], Any]:
    """A `then` that raises the error instead of making a model."""

    def then() -> None:
        raise error

    return then


def state(dao: MemoryDao, run_id: str = "run-1") -> RunState:
    """The state of a run."""
    return dao.runs.get(run_id).state


def ended(dao: MemoryDao, run_id: str = "run-1") -> Callable[[], Any]:
    """A scenario that lasts until the run has ended."""

    async def wait() -> None:
        await until(lambda: state(dao, run_id) in ENDED)

    return wait


def statuses(dao: MemoryDao, batch: int = 1) -> list[str]:
    """The statuses of a batch since its release, the first one first."""
    return [str(change.status) for change in dao.batches.get(batch).history]
