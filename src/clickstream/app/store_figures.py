"""Figures that are read from the store at a scrape: the collecting batch, the queue, runs, the version that serves."""

from collections.abc import Callable, Iterator
from datetime import datetime

from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.improvement import ImprovementState
from clickstream.domain.runs import RunState
from clickstream.telemetry.cached import CachedFigures
from clickstream.telemetry.metrics import Metrics, Reading

# The longest time of one part's reads: a slow count is left out, and costs the store no more.
READ_SECONDS = 2.0


def read_store(metrics: Metrics | None, dao: MongoDao, clock: Callable[[], datetime]) -> None:
    """Adds the figures of the store, which are the same for all processes: one process of a server shows them."""
    if metrics is None:
        return
    figures = _StoreFigures(dao, clock)
    metrics.read(
        CachedFigures(
            {
                "batch": figures.within(figures.batch),
                "improvement": figures.within(figures.improvement),
                "runs": figures.within(figures.runs),
                "models": figures.within(figures.models),
                "analytics": figures.within(figures.analytics),
            }
        )
    )


class _StoreFigures:
    def __init__(self, dao: MongoDao, clock: Callable[[], datetime]) -> None:
        self._dao = dao
        self._clock = clock

    def within(self, read: Callable[[], Iterator[Reading]]) -> Callable[[], list[Reading]]:
        """As `read`, bounded."""

        def bounded() -> list[Reading]:
            with self._dao.within(READ_SECONDS):
                return list(read())

        return bounded

    def _age(self, since: datetime | None) -> float:
        return max(0.0, (self._clock() - since).total_seconds()) if since else 0.0

    def batch(self) -> Iterator[Reading]:
        batch = self._dao.batches.collecting()
        first = self._dao.sessions.page(batch.sequence, 0, 1, include_irrelevant=True).sessions
        # A client may have dated the session back; the batch is still no older than its opening.
        began = max(first[0].created_at, batch.opened_at or first[0].created_at) if first else None
        yield Reading("collecting_batch_sessions", batch.session_count)
        yield Reading("collecting_batch_age_seconds", self._age(began))

    def improvement(self) -> Iterator[Reading]:
        counts = self._dao.improvement.counts()
        oldest = self._dao.improvement.list(None, 1, {ImprovementState.PENDING})
        yield Reading("improvement_oldest_age_seconds", self._age(oldest[0].queued_at if oldest else None))
        for state in ImprovementState:
            yield Reading("improvement_tasks", counts.get(state, 0), {"state": state})

    def runs(self) -> Iterator[Reading]:
        counts = self._dao.runs.counts()
        for state in RunState:
            yield Reading("runs", counts.get(state, 0), {"state": state})
        running = self._dao.runs.list(None, 1, {RunState.RUNNING})
        progress = running[0].progress if running else None
        yield Reading("run_step", progress.step if progress else 0)
        yield Reading("run_steps", progress.step_count if progress else 0)
        yield Reading("run_loss", progress.loss if progress else 0.0)
        yield Reading("run_queries_per_second", progress.queries_per_second if progress else 0.0)

    def models(self) -> Iterator[Reading]:
        current = self._dao.promotions.current()
        if current is not None:
            yield Reading("serving_since_timestamp_seconds", current.promoted_at.timestamp())

    def analytics(self) -> Iterator[Reading]:
        exact_until = self._dao.analytics.state().exact_until
        if exact_until is not None:
            yield Reading("roll_up_lag_seconds", self._age(exact_until))
