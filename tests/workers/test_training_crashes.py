"""The worker of training runs: leases, crashes, outages and absent trainers (R16)."""

from typing import Any

import pytest
from support.builders import NOW, SECOND, model_version, push, session_draft, training_run
from support.made_up import LEASE, REPORT, Endless, Module, ended, play, raising, state, statuses
from support.memory_store import MemoryDao
from support.servers import Clock, until

from clickstream.domain.batches import BatchStatus
from clickstream.domain.errors import FailedPrecondition, Reason, Unavailable
from clickstream.domain.runs import RunState
from clickstream.workers import run_leases
from clickstream.workers import run_worker as module


def test_r16_a_lost_lease_ends_nothing(dao: MemoryDao, clock: Clock) -> None:
    """R16: a worker that has lost its lease stops training, and leaves run and batch to the new owner."""
    fine_tune = Endless()

    async def scenario() -> None:
        await until(lambda: dao.runs.get("run-1").progress == REPORT)
        dao._state.leases["run-1"] = (NOW + 999 * SECOND, "another")
        await until(lambda: fine_tune.closed)

    play((dao, fine_tune, clock), scenario=scenario)
    assert state(dao) is RunState.RUNNING
    assert statuses(dao) == ["released", "training"]
    assert len(fine_tune.calls) == 1


def test_r16_a_worker_that_lost_its_lease_as_it_ended_ends_nothing(
    dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R10, R16: a worker that lost its lease since its last heartbeat does not end the run."""
    monkeypatch.setattr(run_leases, "HEARTBEAT_SECONDS", 60)

    def taken() -> None:
        dao._state.leases["run-1"] = (NOW + 999 * SECOND, "another")
        raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, "too late")

    fine_tune = Module(taken)

    async def scenario() -> None:
        await until(lambda: fine_tune.closed)
        dao.runs.create(training_run("run-2", batches=(2,)))
        fine_tune.then = lambda: model_version("run-2")
        await ended(dao, "run-2")()

    play((dao, fine_tune, clock), scenario=scenario)
    assert state(dao) is RunState.RUNNING
    assert statuses(dao) == ["released", "training"]


def test_r16_an_absent_trainer_is_tried_again_and_then_given_up(dao: MemoryDao, clock: Clock) -> None:
    """R16: while the trainer is away the run waits with the reason, longer each time, and fails with it in the end."""
    fine_tune = Module(raising(Unavailable(Reason.TRAINER_UNAVAILABLE, "connection refused")))
    pauses = [5, 10, 20, 40, 80, 160, 300, 300, 300]

    async def scenario() -> None:
        for attempt, pause in enumerate(pauses, start=1):
            await until(lambda attempt=attempt: len(fine_tune.calls) == attempt and state(dao) is RunState.QUEUED)
            assert (dao.runs.get("run-1").reason, dao.runs.get("run-1").attempts) == ("connection refused", attempt)
            clock.forward(pause - 1)
            assert dao.runs.claim("early", clock(), clock()) is None
            clock.forward(1)
        await ended(dao)()

    play((dao, fine_tune, clock), scenario=scenario)
    run = dao.runs.get("run-1")
    assert (run.state, len(fine_tune.calls)) == (RunState.FAILED, module.MAX_ATTEMPTS)
    assert run.reason == f"gave up after {module.MAX_ATTEMPTS} attempts: connection refused"
    assert statuses(dao) == ["released", "training", "failed"]


def test_r16_a_module_that_ends_without_a_model_is_tried_again(dao: MemoryDao, clock: Clock) -> None:
    """R16: a stream that ends without a model version is tried again."""
    fine_tune = Module(lambda: REPORT)

    async def scenario() -> None:
        await until(lambda: state(dao) is RunState.QUEUED and dao.runs.get("run-1").reason)
        fine_tune.then = model_version
        clock.forward(module.RETRY_SECONDS)
        await ended(dao)()

    play((dao, fine_tune, clock), scenario=scenario)
    assert (state(dao), dao.runs.get("run-1").attempts) == (RunState.SUCCEEDED, 2)


def test_r16_a_stopped_worker_gives_its_run_back(dao: MemoryDao, clock: Clock) -> None:
    """R16, R20: a stopping worker gives its run back at once, and the stop counts as no attempt."""
    fine_tune = Endless()

    async def scenario() -> None:
        await until(lambda: dao.runs.get("run-1").progress == REPORT)

    play((dao, fine_tune, clock), scenario=scenario)
    run = dao.runs.get("run-1")
    assert (run.state, run.attempts, fine_tune.closed) == (RunState.RUNNING, 0, 1)
    assert run.reason
    play((dao, Module(), clock), scenario=ended(dao))
    assert (state(dao), dao.runs.get("run-1").attempts) == (RunState.SUCCEEDED, 1)
    assert statuses(dao) == ["released", "training", "trained"]


def test_r16_a_crashed_workers_run_is_taken_up_with_the_same_inputs(dao: MemoryDao, clock: Clock) -> None:
    """R14, R16: after a dead worker's lease another worker trains the run with the same inputs."""
    fine_tune = Module()
    dao.runs.claim("crashed", NOW, NOW + LEASE * SECOND)
    trainable = frozenset({BatchStatus.RELEASED})
    dao.batches.change_status(1, trainable, BatchStatus.TRAINING, run_id="run-1", reason="", at=NOW)
    dao.events.frozen(1, 1, 2)
    dao.events.append([push("b1-2", "late")])

    async def scenario() -> None:
        dao.runs.create(training_run("run-2", batches=(2,)))
        await ended(dao, "run-2")()
        assert state(dao) is RunState.RUNNING
        clock.forward(LEASE)
        await ended(dao)()

    play((dao, fine_tune, clock), scenario=scenario)
    assert (state(dao), dao.runs.get("run-1").attempts) == (RunState.SUCCEEDED, 2)
    assert fine_tune.calls == [["b2-1"], ["b1-1"]]


def test_r16_a_run_that_kills_its_process_each_time_ends(dao: MemoryDao, clock: Clock) -> None:
    """R16: a run whose worker dies at each attempt ends in a state with a reason."""
    for _ in range(module.MAX_ATTEMPTS):
        assert dao.runs.claim("crashed", clock(), clock() + LEASE * SECOND) is not None
        clock.forward(LEASE)
    fine_tune = Module()
    play((dao, fine_tune, clock), scenario=ended(dao))
    assert state(dao) is RunState.FAILED
    assert "gave up" in dao.runs.get("run-1").reason
    assert fine_tune.calls == []


def test_r16_a_store_that_goes_away_stops_the_worker_for_that_long_only(dao: MemoryDao, clock: Clock) -> None:
    """R3, R16: a run goes on through an outage that is shorter than the lease."""
    fine_tune = Endless()
    dao.down = True

    async def scenario() -> None:
        await until(lambda: dao.outage_count > 2)  # claims
        assert fine_tune.calls == []
        dao.down = False
        await until(lambda: dao.runs.get("run-1").progress == REPORT)
        dao.down = True
        await heartbeats_fail(dao)
        dao.down = False
        before = dao._state.leases["run-1"][0]
        clock.forward(1)
        await until(lambda: dao._state.leases["run-1"][0] > before)
        assert fine_tune.closed == 0

    play((dao, fine_tune, clock), scenario=scenario)
    assert len(fine_tune.calls) == 1


def test_r16_an_outage_longer_than_the_lease_ends_the_training(dao: MemoryDao, clock: Clock) -> None:
    """R3, R16: a worker that cannot renew its lease until it has ended stops training."""
    fine_tune = Endless()

    async def scenario() -> None:
        await until(lambda: dao.runs.get("run-1").progress == REPORT)
        dao.down = True
        await heartbeats_fail(dao)
        clock.forward(LEASE)
        await heartbeats_fail(dao)
        assert fine_tune.closed == 0
        clock.forward(1)
        await until(lambda: fine_tune.closed)
        dao.down = False
        await until(lambda: len(fine_tune.calls) == 2)  # a worker has claimed the run again

    play((dao, fine_tune, clock), scenario=scenario)


def test_r16_outages_that_are_over_do_not_add_up(dao: MemoryDao, clock: Clock) -> None:
    """R3, R16: two short outages, further apart than the lease, stop no training."""
    fine_tune = Endless()

    async def scenario() -> None:
        await until(lambda: dao.runs.get("run-1").progress == REPORT)
        for _ in range(2):
            dao.down = True
            await heartbeats_fail(dao)
            dao.down = False
            before = dao._state.leases["run-1"][0]
            clock.forward(LEASE + 1)
            await until(lambda before=before: dao._state.leases["run-1"][0] > before)
        assert fine_tune.closed == 0

    play((dao, fine_tune, clock), scenario=scenario)
    assert len(fine_tune.calls) == 1


async def heartbeats_fail(dao: MemoryDao) -> None:
    """Waits until several heartbeats have failed because the store is down."""
    before = dao.outage_count
    await until(lambda: dao.outage_count > before + 2)


def test_r16_two_workers_share_the_runs(dao: MemoryDao, clock: Clock) -> None:
    """R16: two workers train every run exactly once."""
    dao.sessions.append([session_draft("b3-1")])
    dao.events.append([push("b3-1", "e-1")])
    dao.batches.release("r-3", None, NOW)
    dao.runs.create(training_run("run-2", batches=(2,)))
    dao.runs.create(training_run("run-3", batches=(3,)))
    one, two = Module(), Module()

    async def scenario() -> None:
        for run in ("run-1", "run-2", "run-3"):
            await ended(dao, run)()

    play((dao, one, clock), (dao, two, clock), scenario=scenario)
    assert sorted(one.calls + two.calls) == [["b1-1"], ["b2-1"], ["b3-1"]]
    assert all(dao.runs.get(run).attempts == 1 for run in ("run-1", "run-2", "run-3"))


def test_r16_a_run_that_cannot_be_read_stops_no_other(
    dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R16: an unexpected exception while claiming is logged, and the worker goes on."""
    claim, failures = dao.runs.claim, [KeyError("settings"), KeyError("settings")]

    def sometimes(*args: Any) -> Any:
        if failures:
            raise failures.pop()
        return claim(*args)

    monkeypatch.setattr(dao.runs, "claim", sometimes)
    play((dao, Module(), clock), scenario=ended(dao))
    assert state(dao) is RunState.SUCCEEDED
