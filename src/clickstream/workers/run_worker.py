"""The worker of training runs: takes queued runs under a lease and streams their inputs through FineTune.

A run outlives this process (R16): when a dead worker's lease expires, another worker takes the run, streams
the same inputs again, and the fine-tuning module resumes from its last checkpoint. Before each look for a
run, the worker does its upkeep: promotions, batches and the improvement queue, which queues runs of its own.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.errors import FailedPrecondition, NotFound, Reason, Unavailable
from clickstream.domain.judgements import JudgedQuery, unpacked
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import FineTuningSettings, RunState, TrainingProgress, TrainingRun
from clickstream.domain.training_inputs import TrainingInput
from clickstream.workers.run_batches import BatchBusy
from clickstream.workers.run_leases import CancelRequested, LeaseLost, PendingReport, RunLeases
from clickstream.workers.run_source import RunSource, RunSources
from clickstream.workers.wake_signal import WakeSignal

# Before a run is tried again. The pause doubles with each attempt that finds no trainer.
RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 300.0
MAX_ATTEMPTS = 10

# The model versions among which earlier runs on the same batch are looked for.
EARLIER_VERSIONS = 100

logger = logging.getLogger(__name__)


class FineTune(Protocol):
    """The fine-tuning module's stream."""

    def __call__(
        self,
        run_id: str,
        settings: FineTuningSettings,
        inputs: AsyncIterator[TrainingInput],
        judged: Sequence[JudgedQuery],
        earlier_runs: int,
    ) -> AsyncIterator[TrainingProgress | ModelVersion]:
        """Reads the inputs; yields progress and, last, the model version.

        `earlier_runs` counts the versions that were measured on the same last batch.

        Raises:
            Unavailable: the module cannot be reached; the run is tried again.
            FailedPrecondition: these inputs cannot train a model.
        """
        ...


@contextlib.contextmanager
def _logged_and_continued(what: str) -> Iterator[None]:
    """Logs an error of one kind of work, so that the other kinds go on."""
    try:
        yield
    except Unavailable as error:
        logger.warning("%s: postponed: %s", what, error)
    except Exception:
        logger.exception("%s: postponed", what)


async def _shielded(step: Callable[..., None], *arguments: str) -> None:
    """Runs a blocking step in a thread. Not interrupted by cancellation: a stopping worker waits for it."""
    running = asyncio.ensure_future(asyncio.to_thread(step, *arguments))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise


class RunWorker:
    """Works on one run at a time until it is cancelled. Belongs to one event loop.

    Args:
        dao: The store.
        sources: Where the inputs of runs come from.
        upkeep: Steps to take before each look for a run, by the name that a log line gives them, in order.
            Each blocks and may be repeated.
        fine_tune: The fine-tuning module.
        leases: This worker's leases on runs.
        wake_signal: Says when to look again.
    """

    def __init__(
        self,
        dao: ClickstreamDao,
        sources: RunSources,
        upkeep: Mapping[str, Callable[[], None]],
        fine_tune: FineTune,
        leases: RunLeases,
        wake_signal: WakeSignal,
        *,
        promotes: bool,
    ) -> None:
        self._dao = dao
        self._sources = sources
        self._upkeep = upkeep
        self._fine_tune = fine_tune
        self._leases = leases
        self._wake_signal = wake_signal
        self._promotes = promotes  # whether a worker promotes a version that passed its gate

    async def work(self) -> None:
        """Works until cancelled; the run in hand is then given back for another worker."""
        while True:
            began = self._leases.clock()
            for what, run_once in self._upkeep.items():
                with _logged_and_continued(what):
                    await _shielded(run_once)
            with _logged_and_continued("training runs"):
                run = await self._leases.claim()
                if run is not None:
                    source = self._sources.of(run)
                    await self._execute(run, source)
                    await _shielded(source.settle, run.run_id)
                    continue
            await self._wake_signal.wait(await self._seconds_until_due(began))

    async def _seconds_until_due(self, began: datetime) -> float:
        """Seconds until the next lease ends, which may be a dead worker's. What ended before `began` is handled."""
        with _logged_and_continued("the next lease's end"):
            due = await asyncio.to_thread(self._dao.changes.next_due, began)
            if due is not None:
                return (due - self._leases.clock()).total_seconds()
        return math.inf

    async def _execute(self, run: TrainingRun, source: RunSource) -> None:
        """Brings a claimed run to its end, or gives it back."""
        pending = PendingReport()
        leases = self._leases
        # Neither waiting for a batch nor being stopped is an attempt.
        uncounted = replace(run, attempts=run.attempts - 1)
        try:
            version = await self._train(run, source, pending)
            await self._end(run, source, pending, RunState.SUCCEEDED, self._verdict(version), version)
        except LeaseLost:
            logger.warning("run %s was taken by another worker", run.run_id)
        except CancelRequested:
            await self._end(run, source, pending, RunState.CANCELED, "canceled by request")
        except BatchBusy as reason:
            await leases.give_back(uncounted, RunState.QUEUED, str(reason), RETRY_SECONDS)
        except (FailedPrecondition, NotFound) as error:
            await self._end(run, source, pending, RunState.FAILED, error.message)
        except Unavailable as error:
            await self._retry(run, source, pending, error.message)
        except asyncio.CancelledError:
            await leases.give_back(uncounted, RunState.RUNNING, "the worker stopped; another one continues the run", 0)
            raise
        except Exception as error:  # a run always ends in a state with a reason
            logger.exception("run %s", run.run_id)
            await self._end(run, source, pending, RunState.FAILED, f"defect: {type(error).__name__}: {error}")

    def _verdict(self, version: ModelVersion) -> str:
        """The gate's reason and, where people promote, what to do with a version that passed."""
        if not version.gate_passed or self._promotes:
            return version.gate_reason
        return f"{version.gate_reason}; passed its gate, not promoted: promote it with PromoteModel"

    async def _train(self, run: TrainingRun, source: RunSource, pending: PendingReport) -> ModelVersion:
        if run.cancel_requested:
            raise CancelRequested
        if run.attempts > MAX_ATTEMPTS:
            why = "each time the worker process died without reporting an error"
            raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, f"gave up after {MAX_ATTEMPTS} attempts: {why}")
        await asyncio.to_thread(source.begin, run)
        logger.info("run %s: attempt %d", run.run_id, run.attempts, extra={"run_id": run.run_id})
        training = asyncio.create_task(self._stream(run, source, pending))
        heartbeat = asyncio.create_task(self._leases.keep(run, pending))
        try:
            await asyncio.wait({training, heartbeat}, return_when=asyncio.FIRST_COMPLETED)
            if heartbeat.done():
                heartbeat.result()
            return await training
        finally:
            for task in (training, heartbeat):
                task.cancel()
            await asyncio.gather(training, heartbeat, return_exceptions=True)

    async def _stream(self, run: TrainingRun, source: RunSource, pending: PendingReport) -> ModelVersion:
        """Streams the run's inputs to the fine-tuning module, and its reports into `pending`."""
        judged = await asyncio.to_thread(self._judged, run.judgements_sha256)
        earlier_runs = await asyncio.to_thread(self._earlier_runs, run)
        inputs = self._inputs(run, source)
        async for message in self._fine_tune(run.run_id, run.settings, inputs, judged, earlier_runs):
            if isinstance(message, ModelVersion):
                return message
            pending.add(message)
        raise Unavailable(Reason.TRAINER_UNAVAILABLE, "the fine-tuning module ended without a model version")

    def _judged(self, sha256: str) -> list[JudgedQuery]:
        if not sha256:
            return []
        content = self._dao.judgements.get(sha256)
        if content is None:
            raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, f"the judgements {sha256} are gone")
        return unpacked(content)

    def _earlier_runs(self, run: TrainingRun) -> int:
        """How many of the newest versions were measured on the same last batch: the gate pays for each."""
        batch = self._dao.batches.get(max(run.batches)) if run.batches else None
        if batch is None:
            return 0
        versions = self._dao.runs.model_versions(None, EARLIER_VERSIONS, gate_passed_only=False)
        return sum(each.run_id != run.run_id and each.batch_ids[-1:] == (batch.batch_id,) for each in versions)

    async def _inputs(self, run: TrainingRun, source: RunSource) -> AsyncIterator[TrainingInput]:
        """The run's inputs; stores what their conversion counted after the last."""
        summary = source.new_summary(run)
        pages = source.pages(run, summary)
        while (page := await asyncio.to_thread(next, pages, None)) is not None:
            for converted in page:
                yield converted
        await self._leases.set_conversion(run, summary)

    async def _retry(self, run: TrainingRun, source: RunSource, pending: PendingReport, reason: str) -> None:
        if run.attempts >= MAX_ATTEMPTS:
            reason = f"gave up after {run.attempts} attempts: {reason}"
            await self._end(run, source, pending, RunState.FAILED, reason)
        else:
            pause = min(RETRY_SECONDS * 2 ** (run.attempts - 1), LONGEST_RETRY_SECONDS)
            logger.info("run %s waits for %.0f s: %s", run.run_id, pause, reason, extra={"run_id": run.run_id})
            await self._leases.give_back(run, RunState.QUEUED, reason, pause)

    async def _end(
        self,
        run: TrainingRun,
        source: RunSource,
        pending: PendingReport,
        state: RunState,
        reason: str,
        version: ModelVersion | None = None,
    ) -> None:
        """Ends the source first and the run last: a crash in between makes another worker end both again."""
        if await self._leases.renew(run, pending) is None:
            logger.warning("run %s was taken by another worker, which ends it", run.run_id)
            return
        logger.info("run %s %s: %s", run.run_id, state, reason, extra={"run_id": run.run_id})
        await asyncio.to_thread(source.end, run, state, reason)
        await self._leases.finish(run, state, reason, version)
