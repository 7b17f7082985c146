"""One worker's leases on training runs: how it claims a run, keeps it, and lets it go."""

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from clickstream.dao.interface.runs import RunDao
from clickstream.domain.errors import Unavailable
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import RunState, TrainingProgress, TrainingRun
from clickstream.domain.training_inputs import ConversionSummary

HEARTBEAT_SECONDS = 0.5


class LeaseLost(Exception):
    """Another worker has taken the run, or may have."""


class CancelRequested(Exception):
    """The run is to stop, by request."""


class PendingReport:
    """The fine-tuning module's last report, with every point of the curve that is not stored yet."""

    def __init__(self) -> None:
        self.progress: TrainingProgress | None = None

    def add(self, report: TrainingProgress) -> None:
        """Replaces the report, and keeps the points that are not stored yet."""
        waiting = self.progress.points if self.progress else ()
        self.progress = replace(report, points=(*waiting, *report.points))

    def drop_stored(self, stored: TrainingProgress) -> None:
        """Removes the points that were stored with this report."""
        if self.progress:
            self.progress = replace(self.progress, points=self.progress.points[len(stored.points) :])


class RunLeases:
    """Claims, renews and ends runs as one owner, with a name of its own. Belongs to one event loop.

    Args:
        runs: The store's runs.
        clock: The current time, in UTC.
        duration: How long a lease lasts from its last renewal.
    """

    def __init__(self, runs: RunDao, clock: Callable[[], datetime], duration: timedelta) -> None:
        self.clock = clock
        self._runs = runs
        self._duration = duration
        self._owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"

    async def claim(self) -> TrainingRun | None:
        """Takes the oldest run that is free; None if none is."""
        now = self.clock()
        return await asyncio.to_thread(self._runs.claim, self._owner, now, now + self._duration)

    async def keep(self, run: TrainingRun, pending: PendingReport) -> None:
        """Renews the lease and stores progress at each heartbeat, until cancelled.

        Raises:
            LeaseLost: another worker has the run, or the store was away for longer than the lease.
            CancelRequested: the run is to stop.
        """
        failing_since: datetime | None = None
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            now = self.clock()
            try:
                renewed = await self.renew(run, pending)
            except Unavailable:
                failing_since = failing_since or now
                if now - failing_since > self._duration:
                    raise LeaseLost from None
                continue
            failing_since = None
            if renewed is None:
                raise LeaseLost
            if renewed.cancel_requested:
                raise CancelRequested

    async def renew(self, run: TrainingRun, pending: PendingReport) -> TrainingRun | None:
        """Renews the lease and stores the pending report; None if another worker has the run."""
        report = pending.progress
        renewed = await asyncio.to_thread(
            self._runs.renew, run.run_id, self._owner, self.clock() + self._duration, report
        )
        if report is not None:
            pending.drop_stored(report)
        return renewed

    async def set_conversion(self, run: TrainingRun, summary: ConversionSummary) -> None:
        """Stores the counts of the run's conversion."""
        await asyncio.to_thread(self._runs.set_conversion, run.run_id, self._owner, summary)

    async def give_back(self, run: TrainingRun, state: RunState, reason: str, seconds: float) -> None:
        """Frees a run that has not ended; any worker may claim it after this many seconds."""
        available_at = self.clock() + timedelta(seconds=seconds)
        with contextlib.suppress(Unavailable):  # otherwise the lease expires
            await asyncio.to_thread(
                self._runs.give_back, run.run_id, self._owner, state, reason, available_at, run.attempts
            )

    async def finish(self, run: TrainingRun, state: RunState, reason: str, version: ModelVersion | None) -> None:
        """Stores the run's end, with its model version if it made one."""
        await asyncio.to_thread(self._runs.finish, run.run_id, self._owner, state, reason, version, self.clock())
