"""The worker of training runs: takes queued runs under a lease and pumps their inputs through FineTune.

A run outlives this process (R16): the lease of a dead worker expires, another takes the run up, streams the
same inputs again, and the fine-tuning module goes on from its last checkpoint. Before it looks for a run,
the worker looks after batches and the improvement queue, which begins runs of its own.
"""

import asyncio
import contextlib
import logging
import math
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from clickstream.conversion.reader import InputReader
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.errors import FailedPrecondition, NotFound, Reason, Unavailable
from clickstream.domain.judgements import JudgedQuery, unpacked
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import FineTuningSettings, RunState, TrainingProgress, TrainingRun
from clickstream.domain.training_inputs import TrainingInput
from clickstream.workers.improvement_queue import ImprovementQueue
from clickstream.workers.run_batches import BatchBusy, RunBatches
from clickstream.workers.wake_signal import Waking

HEARTBEAT_SECONDS = 0.5
RETRY_SECONDS = 5.0
"""Before a run is tried again; twice as long each time that its trainer is away."""

LONGEST_RETRY_SECONDS = 300.0
MAX_ATTEMPTS = 10

logger = logging.getLogger(__name__)


class PendingReport:
    """What the fine-tuning module reported last, with every point of the curve that is not yet stored."""

    def __init__(self) -> None:
        self.progress: TrainingProgress | None = None

    def take_up(self, report: TrainingProgress) -> None:
        """Takes up a report, and keeps the points that are not yet stored."""
        waiting = self.progress.points if self.progress else ()
        self.progress = replace(report, points=(*waiting, *report.points))

    def drop_stored(self, stored: TrainingProgress) -> None:
        """Forgets the points that have been stored meanwhile."""
        if self.progress:
            self.progress = replace(self.progress, points=self.progress.points[len(stored.points) :])


class FineTune(Protocol):
    """The fine-tuning module's stream."""

    def __call__(
        self,
        run_id: str,
        settings: FineTuningSettings,
        inputs: AsyncIterator[TrainingInput],
        judged: Sequence[JudgedQuery],
    ) -> AsyncIterator[TrainingProgress | ModelVersion]:
        """Streams inputs in, and progress and last the model version out."""
        ...


class _LeaseLost(Exception):
    """Another worker has taken the run."""


class _CancelRequested(Exception):
    """Somebody asked for the run to stop."""


@contextlib.contextmanager
def _going_on(what: str) -> Iterator[None]:
    """Logs what keeps work waiting: what cannot even be read must not stop the rest."""
    try:
        yield
    except Unavailable as error:
        logger.warning("%s: have to wait: %s", what, error)
    except Exception:
        logger.exception("%s: have to wait", what)


async def _to_its_end(step: Callable[..., None], *arguments: str) -> None:
    """Runs a step of store operations in a thread; also a worker that is being stopped finishes it."""
    running = asyncio.ensure_future(asyncio.to_thread(step, *arguments))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise


class TrainingRunWorker:
    """Works on one run at a time until it is stopped."""

    def __init__(
        self,
        dao: ClickstreamDao,
        inputs: InputReader,
        improvement: ImprovementQueue,
        upkeep: Mapping[str, Callable[[], None]],
        fine_tune: FineTune,
        clock: Callable[[], datetime],
        lease: timedelta,
        waking: Waking,
        *,
        promotes: bool,
    ) -> None:
        self._dao = dao
        self._inputs = inputs
        self._batches = RunBatches(dao, inputs, clock)
        self._improvement = improvement
        self._upkeep = upkeep  # by what waits while it fails; each blocks, and can be repeated
        self._fine_tune = fine_tune
        self._clock = clock
        self._lease = lease
        self._owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._waking = waking
        self._promotes = promotes  # whether what passed its gate is promoted without a person

    async def work(self) -> None:
        """Works until cancelled; a run in hand is then given back for another worker."""
        while True:
            began = self._clock()
            for what, look_after in self._upkeep.items():
                with _going_on(what):
                    await asyncio.to_thread(look_after)
            with _going_on("improvement queue"):
                await _to_its_end(self._improvement.look_after)
            with _going_on("training runs"):
                now = self._clock()
                run = await asyncio.to_thread(self._dao.runs.claim, self._owner, now, now + self._lease)
                if run is not None:
                    await self._execute(run)
                    if run.from_improvement_queue:
                        await _to_its_end(self._improvement.settle, run.run_id)
                    continue
            await self._waking.wait(await self._until_next_end(began))

    async def _until_next_end(self, began: datetime) -> float:
        """How many seconds until a lease ends, that of a dead worker perhaps.

        What ended before the look began was seen, and never makes the worker look again.
        """
        with _going_on("what time brings"):
            end = await asyncio.to_thread(self._dao.changes.next_end, began)
            if end is not None:
                return (end - self._clock()).total_seconds()
        return math.inf

    async def _execute(self, run: TrainingRun) -> None:
        """Brings a claimed run to its end, or gives it back."""
        pending = PendingReport()
        try:
            version = await self._train(run, pending)
            await self._end(run, pending, RunState.SUCCEEDED, self._verdict(version), version)
        except _LeaseLost:
            logger.warning("run %s was taken up by another worker", run.run_id)
        except _CancelRequested:
            await self._end(run, pending, RunState.CANCELED, "canceled by request")
        except BatchBusy as reason:
            # Waiting is no attempt.
            await self._give_back(replace(run, attempts=run.attempts - 1), RunState.QUEUED, str(reason), RETRY_SECONDS)
        except (FailedPrecondition, NotFound) as error:
            await self._end(run, pending, RunState.FAILED, error.message)
        except Unavailable as error:
            await self._retry(run, pending, error.message)
        except asyncio.CancelledError:
            # Being stopped is no attempt, either.
            stopped = replace(run, attempts=run.attempts - 1)
            await self._give_back(stopped, RunState.RUNNING, "the worker stopped; the run goes on elsewhere", 0)
            raise
        except Exception as error:  # a run always ends in a state with a reason
            logger.exception("run %s", run.run_id)
            await self._end(run, pending, RunState.FAILED, f"defect: {type(error).__name__}: {error}")

    def _verdict(self, version: ModelVersion) -> str:
        """The gate's reason and, where nobody promotes by itself, what a person may do now."""
        if not version.gate_passed or self._promotes:
            return version.gate_reason
        return f"{version.gate_reason}; passed its gate, not promoted: promote it with PromoteModel"

    async def _train(self, run: TrainingRun, pending: PendingReport) -> ModelVersion:
        if run.cancel_requested:
            raise _CancelRequested
        if run.attempts > MAX_ATTEMPTS:
            raise FailedPrecondition(
                Reason.TRAINING_IMPOSSIBLE,
                f"gave up: {MAX_ATTEMPTS} attempts ended without a word, each with its process",
            )
        await asyncio.to_thread(self._batches.begin, run)
        logger.info("run %s: attempt %d", run.run_id, run.attempts)
        training = asyncio.create_task(self._pump(run, pending))
        heartbeat = asyncio.create_task(self._keep_lease(run, pending))
        try:
            await asyncio.wait({training, heartbeat}, return_when=asyncio.FIRST_COMPLETED)
            if heartbeat.done():
                heartbeat.result()
            return await training
        finally:
            for task in (training, heartbeat):
                task.cancel()
            await asyncio.gather(training, heartbeat, return_exceptions=True)

    async def _pump(self, run: TrainingRun, pending: PendingReport) -> ModelVersion:
        judged = await asyncio.to_thread(self._judged, run.judgements_sha256)
        async for message in self._fine_tune(run.run_id, run.settings, self._converted(run), judged):
            if isinstance(message, ModelVersion):
                return message
            pending.take_up(message)
        raise Unavailable(Reason.TRAINER_UNAVAILABLE, "the fine-tuning module ended without a model version")

    def _judged(self, sha256: str) -> list[JudgedQuery]:
        if not sha256:
            return []
        content = self._dao.judgements.get(sha256)
        if content is None:
            raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, f"the judgements {sha256} are gone")
        return unpacked(content)

    async def _converted(self, run: TrainingRun) -> AsyncIterator[TrainingInput]:
        summary = self._inputs.new_summary()
        source = self._improvement if run.from_improvement_queue else self._batches
        pages = source.pages(run, summary)
        while (page := await asyncio.to_thread(next, pages, None)) is not None:
            for converted in page:
                yield converted
        await asyncio.to_thread(self._dao.runs.set_conversion, run.run_id, self._owner, summary)

    async def _keep_lease(self, run: TrainingRun, pending: PendingReport) -> None:
        """Renews the lease and stores progress; ends by raising when the run is to stop."""
        failing_since: datetime | None = None
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            now = self._clock()
            try:
                held = await self._renew(run, pending)
            except Unavailable:
                failing_since = failing_since or now
                if now - failing_since > self._lease:
                    raise _LeaseLost from None
                continue
            failing_since = None
            if held is None:
                raise _LeaseLost
            if held.cancel_requested:
                raise _CancelRequested

    async def _renew(self, run: TrainingRun, pending: PendingReport) -> TrainingRun | None:
        """Renews the lease and stores what was reported; None if another worker holds the run."""
        report = pending.progress
        held = await asyncio.to_thread(
            self._dao.runs.renew, run.run_id, self._owner, self._clock() + self._lease, report
        )
        if report is not None:
            pending.drop_stored(report)
        return held

    async def _retry(self, run: TrainingRun, pending: PendingReport, reason: str) -> None:
        if run.attempts >= MAX_ATTEMPTS:
            await self._end(run, pending, RunState.FAILED, f"gave up after {run.attempts} attempts: {reason}")
        else:
            pause = min(RETRY_SECONDS * 2 ** (run.attempts - 1), LONGEST_RETRY_SECONDS)
            logger.info("run %s waits for %.0f s: %s", run.run_id, pause, reason)
            await self._give_back(run, RunState.QUEUED, reason, pause)

    async def _give_back(self, run: TrainingRun, state: RunState, reason: str, seconds: float) -> None:
        not_before = self._clock() + timedelta(seconds=seconds)
        with contextlib.suppress(Unavailable):  # else the lease expires by itself
            await asyncio.to_thread(
                self._dao.runs.give_back, run.run_id, self._owner, state, reason, not_before, run.attempts
            )

    async def _end(
        self,
        run: TrainingRun,
        pending: PendingReport,
        state: RunState,
        reason: str,
        version: ModelVersion | None = None,
    ) -> None:
        """Ends the batches first and the run last: after a crash in between the run is taken up and ends again."""
        if await self._renew(run, pending) is None:
            logger.warning("run %s was taken up by another worker, which ends it", run.run_id)
            return
        logger.info("run %s %s: %s", run.run_id, state, reason)
        await asyncio.to_thread(self._batches.end, run, state, reason)
        await asyncio.to_thread(self._dao.runs.finish, run.run_id, self._owner, state, reason, version, self._clock())
