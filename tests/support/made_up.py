"""A fine-tuning module made up, and workers that call it over the store in memory."""

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
from clickstream.workers.batch_upkeep import BatchLife
from clickstream.workers.improvement_queue import ImprovementQueue
from clickstream.workers.promoter import Promote, Promoter
from clickstream.workers.run_worker import TrainingRunWorker
from clickstream.workers.wake_signal import Waking
from support.builders import model_version
from support.memory_store import MemoryDao
from support.serving import DEFAULTS, POLICY, Clock, until

LEASE = 10
RULES = QueueRules(least=3, age=timedelta(seconds=60), attempts=3, backoff=timedelta(seconds=20))
REPORT = TrainingProgress(Phase.TRAINING, step=1, step_count=2)
FineTune = Callable[[str, Any, AsyncIterator[TrainingInput], Sequence[JudgedQuery]], AsyncIterator[Any]]


class Module:
    """A fine-tuning module that reads all inputs and then does as told."""

    def __init__(self, then: Callable[[], Any] = model_version) -> None:
        self.calls: list[list[str]] = []
        self.closed = 0
        self.judged: Sequence[JudgedQuery] = ()
        self.then = then

    async def __call__(
        self, run_id: str, settings: Any, inputs: AsyncIterator[TrainingInput], judged: Sequence[JudgedQuery]
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
        self, run_id: str, settings: Any, inputs: AsyncIterator[TrainingInput], judged: Sequence[JudgedQuery]
    ) -> AsyncIterator[Any]:
        """The module's stream."""
        self.calls.append([each.session_id async for each in inputs])
        try:
            yield REPORT
            await asyncio.Event().wait()
        finally:
            self.closed += 1


def worker(dao: MemoryDao, fine_tune: FineTune, clock: Clock, *, promotes: bool = True) -> TrainingRunWorker:
    """A worker like that of a server."""
    inputs, lease = InputReader(dao, POLICY), timedelta(seconds=LEASE)
    upkeep = {
        "batches": BatchLife(dao, BatchRules(), clock).look_after,
        "promotions": Promoter(dao, promoting(dao, clock) if promotes else None).look_after,
    }
    return TrainingRunWorker(
        dao, inputs, queue(dao, clock), upkeep, fine_tune, clock, lease, Waking(), promotes=promotes
    )


def promoting(dao: ClickstreamDao, clock: Callable[[], datetime]) -> Promote:
    """Promotes what any trainer can load."""
    return lambda version, order: dao.promotions.append(order, clock())


def queue(dao: ClickstreamDao, clock: Callable[[], datetime]) -> ImprovementQueue:
    """The improvement queue as a worker looks after it."""
    inputs = InputReader(dao, POLICY)
    return ImprovementQueue(dao, inputs, RULES, lambda: DEFAULTS, clock, timedelta(seconds=LEASE))


def play(*workers: tuple[MemoryDao, FineTune, Clock], scenario: Callable[[], Any], promotes: bool = True) -> None:
    """Lets workers work until the scenario is over."""

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
    """Raises instead of making a model."""

    def then() -> None:
        raise error

    return then


def state(dao: MemoryDao, run_id: str = "run-1") -> RunState:
    """How a run stands."""
    return dao.runs.get(run_id).state


def ended(dao: MemoryDao, run_id: str = "run-1") -> Callable[[], Any]:
    """Waits for a run's end."""

    async def wait() -> None:
        await until(lambda: state(dao, run_id) in ENDED)

    return wait


def statuses(dao: MemoryDao, batch: int = 1) -> list[str]:
    """What a batch has been since its release."""
    return [str(change.status) for change in dao.batches.get(batch).history]
