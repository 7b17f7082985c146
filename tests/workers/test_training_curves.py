"""The worker of training runs: the last report of a run is stored, however the run ends (R16)."""

import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from support.builders import NOW, model_version
from support.made_up import REPORT, Module, ended, play, raising
from support.memory_store import MemoryDao
from support.servers import Clock, until

from clickstream.domain.errors import FailedPrecondition, Reason
from clickstream.domain.runs import ENDED, CurvePoint, Phase, RunState
from clickstream.domain.training_inputs import TrainingInput
from clickstream.workers import run_leases

STEPS = 5


def point(step: int) -> CurvePoint:
    """A logged step."""
    return CurvePoint(step, NOW, loss=1 / step, learning_rate=1e-4)


class Logging(Module):
    """A module that logs some steps at once and then returns, or raises, what `then` does."""

    async def __call__(
        self, run_id: str, settings: Any, inputs: AsyncIterator[TrainingInput], judged: Any, earlier_runs: int
    ) -> AsyncIterator[Any]:
        """The module's stream."""
        self.calls.append([each.session_id async for each in inputs])
        for step in range(1, STEPS + 1):
            yield replace(REPORT, step=step, step_count=STEPS, points=(point(step),))
        yield replace(REPORT, phase=Phase.SAVING, step=STEPS, step_count=STEPS)
        yield self.then()


@pytest.mark.parametrize(
    ("then", "state"),
    [
        (model_version, RunState.SUCCEEDED),
        (raising(FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, "too hard")), RunState.FAILED),
        (raising(RuntimeError("boom")), RunState.FAILED),
    ],
)
def test_r16_a_report_after_the_last_heartbeat_is_stored(
    dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch, then: Any, state: RunState
) -> None:
    """R16: the curve and the last progress are stored at the run's end, also without a heartbeat before it."""
    monkeypatch.setattr(run_leases, "HEARTBEAT_SECONDS", 60)
    play((dao, Logging(then), clock), scenario=ended(dao))
    run = dao.runs.get("run-1")
    assert (run.state, run.progress.phase, run.progress.step) == (state, Phase.SAVING, STEPS)
    assert dao.runs.curve("run-1") == [point(step) for step in range(1, STEPS + 1)]


def test_r16_a_point_that_comes_during_a_heartbeat_is_kept_for_the_next(
    dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R16: a point that is reported during a heartbeat is stored once."""
    renew, begun, go_on = dao.runs.renew, threading.Event(), threading.Event()
    sent: list[int] = []

    def slowly(*args: Any) -> Any:
        if args[-1] is not None:
            sent.extend(point.step for point in args[-1].points)
            begun.set()
            assert go_on.wait(20)
        return renew(*args)

    class During(Logging):
        async def __call__(
            self, run_id: str, settings: Any, inputs: AsyncIterator[TrainingInput], judged: Any, earlier_runs: int
        ) -> AsyncIterator[Any]:
            """Logs a step before the first heartbeat with a report, and one during it."""
            self.calls.append([each.session_id async for each in inputs])
            yield replace(REPORT, step=1, points=(point(1),))
            await until(begun.is_set)
            yield replace(REPORT, step=2, points=(point(2),))
            go_on.set()
            await until(lambda: len(dao.runs.curve("run-1")) == 2)
            yield model_version()

    monkeypatch.setattr(dao.runs, "renew", slowly)
    play((dao, During(), clock), scenario=ended(dao))
    assert dao.runs.curve("run-1") == [point(1), point(2)]
    assert sent == [1, 2]


def test_r16_no_point_is_lost_while_the_store_is_away(dao: MemoryDao, clock: Clock) -> None:
    """R3, R16: points wait while the store is away, and the next heartbeat stores each once."""

    class Slow(Logging):
        async def __call__(
            self, run_id: str, settings: Any, inputs: AsyncIterator[TrainingInput], judged: Any, earlier_runs: int
        ) -> AsyncIterator[Any]:
            """The store goes away after the first step and comes back after the last."""
            self.calls.append([each.session_id async for each in inputs])
            yield replace(REPORT, step=1, points=(point(1),))
            await until(lambda: dao.runs.curve("run-1") == [point(1)])
            dao.down, before = True, dao.outage_count
            for step in range(2, STEPS + 1):
                yield replace(REPORT, step=step, points=(point(step),))
                await until(lambda step=step: dao.outage_count >= before + step)
            dao.down = False
            await until(lambda: len(dao.runs.curve("run-1")) == STEPS)
            yield model_version()

    async def scenario() -> None:
        await until(lambda: not dao.down and dao.runs.get("run-1").state in ENDED)

    play((dao, Slow(), clock), scenario=scenario)
    assert dao.runs.curve("run-1") == [point(step) for step in range(1, STEPS + 1)]
