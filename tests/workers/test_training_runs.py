"""The worker of training runs, over the store in memory and a fine-tuning module made up (R10, R16)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from builders import NOW, SECOND, model_version, push, session_draft, session_drafts, training_run
from dao.memory import MemoryDao
from serving import POLICY, Clock, until

from clickstream.batches import BatchStatus
from clickstream.converter import TrainingInput
from clickstream.errors import FailedPrecondition, Unavailable
from clickstream.inputs import InputReader
from clickstream.runs import ENDED, ModelVersion, Phase, RunState, TrainingProgress
from clickstream.servicers import wire
from clickstream.workers import training_runs as module
from clickstream.workers.training_runs import TrainingRunWorker

LEASE = 10
REPORT = TrainingProgress(Phase.TRAINING, step=1, step_count=2)
FineTune = Callable[[str, Any, AsyncIterator[TrainingInput]], AsyncIterator[Any]]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats and polls follow each other quickly."""
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)


@pytest.fixture
def dao(memory_dao: MemoryDao) -> MemoryDao:
    """Two released batches of two sessions, one of which trains, and a run over the first."""
    for batch in (1, 2):
        memory_dao.sessions.append(session_drafts(2, f"b{batch}"))
        memory_dao.events.append([push(f"b{batch}-1", "e-1")])
        memory_dao.batches.release(f"r-{batch}", None, NOW)
    memory_dao.runs.create(training_run())
    return memory_dao


class Module:
    """A fine-tuning module that reads all inputs and then does as told."""

    def __init__(self, then: Callable[[], Any] = model_version) -> None:
        self.calls: list[list[str]] = []
        self.closed = 0
        self.then = then

    async def __call__(
        self, run_id: str, settings: Any, inputs: AsyncIterator[TrainingInput]
    ) -> AsyncIterator[TrainingProgress | ModelVersion]:
        """The module's stream."""
        self.calls.append([each.session_id async for each in inputs])
        try:
            yield REPORT
            yield self.then()
        finally:
            self.closed += 1


class Endless(Module):
    """A module that trains until it is stopped."""

    async def __call__(self, run_id: str, settings: Any, inputs: AsyncIterator[TrainingInput]) -> AsyncIterator[Any]:
        """The module's stream."""
        self.calls.append([each.session_id async for each in inputs])
        try:
            yield REPORT
            await asyncio.Event().wait()
        finally:
            self.closed += 1


def worker(dao: MemoryDao, fine_tune: FineTune, clock: Clock) -> TrainingRunWorker:
    """A worker like that of a server."""
    inputs = InputReader(dao, POLICY, wire.search_session)
    return TrainingRunWorker(dao, inputs, fine_tune, clock, timedelta(seconds=LEASE), asyncio.Event())


def play(*workers: tuple[MemoryDao, FineTune, Clock], scenario: Callable[[], Any]) -> None:
    """Lets workers work until the scenario is over."""

    async def run() -> None:
        working = [asyncio.create_task(worker(*each).work()) for each in workers]
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


def test_r16_a_run_succeeds_with_its_model_version(dao: MemoryDao, clock: Clock) -> None:
    """R10, R16: the inputs go to the module; run and batch end with model version, reason and conversion."""
    fine_tune = Module()
    play((dao, fine_tune, clock), scenario=ended(dao))
    run = dao.runs.get("run-1")
    assert fine_tune.calls == [["b1-1"]]
    assert (run.state, run.reason, run.model_version) == (RunState.SUCCEEDED, "nDCG@10 rose", model_version())
    assert (run.conversion.input_count, run.conversion.skipped_sessions) == (1, {"no_events": 1})
    assert (run.attempts, run.ended_at) == (1, NOW)
    assert statuses(dao) == ["released", "training", "trained"]
    assert dao.batches.get(1).run_id == "run-1"
    assert statuses(dao, 2) == ["released"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FailedPrecondition("TRAINING_IMPOSSIBLE", "too few queries"), "too few queries"),
        (RuntimeError("boom"), "defect: RuntimeError: boom"),
    ],
)
def test_r16_a_run_that_cannot_train_fails_with_the_reason(
    dao: MemoryDao, clock: Clock, error: Exception, reason: str
) -> None:
    """R10, R16: what the module says, or an exception that should not be, ends run and batch as failed."""
    play((dao, Module(raising(error)), clock), scenario=ended(dao))
    run = dao.runs.get("run-1")
    assert (run.state, run.reason, run.model_version) == (RunState.FAILED, reason, None)
    assert statuses(dao) == ["released", "training", "failed"]
    assert reason in dao.batches.get(1).history[-1].reason


def test_r16_a_run_after_a_failed_one_trains_the_same_batch(dao: MemoryDao, clock: Clock) -> None:
    """R10: a failed batch can be trained again by the next run."""
    play((dao, Module(raising(RuntimeError("boom"))), clock), scenario=ended(dao))
    dao.runs.create(training_run("run-2"))
    play((dao, Module(lambda: model_version("run-2")), clock), scenario=ended(dao, "run-2"))
    assert statuses(dao) == ["released", "training", "failed", "training", "trained"]


def test_r16_a_running_run_is_canceled_within_a_heartbeat(dao: MemoryDao, clock: Clock) -> None:
    """R10, R16: a cancel closes the module's stream, and run and batch end with the reason."""
    fine_tune = Endless()

    async def scenario() -> None:
        await until(lambda: dao.runs.get("run-1").progress == REPORT)
        dao.runs.request_cancel("run-1", NOW)
        await ended(dao)()
        await until(lambda: fine_tune.closed)

    play((dao, fine_tune, clock), scenario=scenario)
    assert (state(dao), dao.runs.get("run-1").reason) == (RunState.CANCELED, "canceled by request")
    assert statuses(dao) == ["released", "training", "failed"]


def test_r16_a_run_canceled_while_queued_never_begins(dao: MemoryDao, clock: Clock) -> None:
    """R10, R16: cancelled before any worker took it, a run trains nothing and touches no batch."""
    dao.runs.request_cancel("run-1", NOW)
    dao.runs.create(training_run("run-2", batches=(2,)))
    fine_tune = Module(lambda: model_version("run-2"))
    play((dao, fine_tune, clock), scenario=ended(dao, "run-2"))
    assert fine_tune.calls == [["b2-1"]]
    assert statuses(dao) == ["released"]


def test_r16_a_lost_lease_ends_nothing(dao: MemoryDao, clock: Clock) -> None:
    """R16: a worker whose run was taken by another stops training and leaves run and batch to that one."""
    fine_tune = Endless()

    async def scenario() -> None:
        await until(lambda: dao.runs.get("run-1").progress == REPORT)
        dao._state.held["run-1"] = (NOW + 999 * SECOND, "another")
        await until(lambda: fine_tune.closed)

    play((dao, fine_tune, clock), scenario=scenario)
    assert state(dao) is RunState.RUNNING
    assert statuses(dao) == ["released", "training"]
    assert len(fine_tune.calls) == 1


def test_r16_a_worker_that_lost_its_lease_as_it_ended_ends_nothing(
    dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R10, R16: between two heartbeats the run may be taken; its result is then the other worker's to write."""
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 60)

    def taken() -> None:
        dao._state.held["run-1"] = (NOW + 999 * SECOND, "another")
        raise FailedPrecondition("TRAINING_IMPOSSIBLE", "too late")

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
    """R16: while the module is away the run waits with the reason; after the last attempt it fails with it."""
    fine_tune = Module(raising(Unavailable("STORE_UNAVAILABLE", "connection refused")))

    async def scenario() -> None:
        for attempt in range(1, module.MAX_ATTEMPTS):
            await until(lambda attempt=attempt: len(fine_tune.calls) == attempt and state(dao) is RunState.QUEUED)
            assert (dao.runs.get("run-1").reason, dao.runs.get("run-1").attempts) == ("connection refused", attempt)
            clock.forward(module.RETRY_SECONDS)
        await ended(dao)()

    play((dao, fine_tune, clock), scenario=scenario)
    run = dao.runs.get("run-1")
    assert (run.state, len(fine_tune.calls)) == (RunState.FAILED, module.MAX_ATTEMPTS)
    assert run.reason == f"gave up after {module.MAX_ATTEMPTS} attempts: connection refused"
    assert statuses(dao) == ["released", "training", "failed"]


def test_r16_a_module_that_ends_without_a_model_is_tried_again(dao: MemoryDao, clock: Clock) -> None:
    """R16: a stream that closes early is no result."""
    fine_tune = Module(lambda: REPORT)

    async def scenario() -> None:
        await until(lambda: state(dao) is RunState.QUEUED and dao.runs.get("run-1").reason)
        fine_tune.then = model_version
        clock.forward(module.RETRY_SECONDS)
        await ended(dao)()

    play((dao, fine_tune, clock), scenario=scenario)
    assert (state(dao), dao.runs.get("run-1").attempts) == (RunState.SUCCEEDED, 2)


def test_r10_a_run_waits_for_a_busy_batch(dao: MemoryDao, clock: Clock) -> None:
    """R10, R16: runs over one batch train one after the other; waiting says for whom, and is no attempt."""
    trainable = frozenset({BatchStatus.RELEASED})
    dao.batches.change_status(1, trainable, BatchStatus.TRAINING, run_id="other", reason="", at=NOW)

    async def scenario() -> None:
        await until(lambda: dao.runs.get("run-1").reason == "waits for run other on batch-1")
        assert (state(dao), dao.runs.get("run-1").attempts) == (RunState.QUEUED, 0)
        training = frozenset({BatchStatus.TRAINING})
        dao.batches.change_status(1, training, BatchStatus.TRAINED, run_id="other", reason="", at=NOW)
        clock.forward(module.RETRY_SECONDS)
        await ended(dao)()

    play((dao, Module(), clock), scenario=scenario)
    assert (state(dao), dao.runs.get("run-1").attempts) == (RunState.SUCCEEDED, 1)
    assert statuses(dao) == ["released", "training", "trained", "training", "trained"]


def test_r10_a_waiting_run_that_is_canceled_lets_go_of_its_batches(dao: MemoryDao, clock: Clock) -> None:
    """R10, R16: a run that holds one batch and waits for another frees the first when it is cancelled."""
    trainable = frozenset({BatchStatus.RELEASED})
    dao.batches.change_status(2, trainable, BatchStatus.TRAINING, run_id="other", reason="", at=NOW)
    dao.runs.request_cancel("run-1", NOW)
    dao.runs.create(training_run("both", batches=(1, 2)))

    async def scenario() -> None:
        await until(lambda: "waits" in dao.runs.get("both").reason)
        assert dao.batches.get(1).status is BatchStatus.TRAINING
        dao.runs.request_cancel("both", NOW)
        clock.forward(module.RETRY_SECONDS)
        await ended(dao, "both")()

    play((dao, Module(), clock), scenario=scenario)
    assert state(dao, "both") is RunState.CANCELED
    assert dao.batches.get(1).status is BatchStatus.FAILED
    assert dao.batches.get(2).run_id == "other"


def test_r10_runs_that_share_batches_never_wait_for_each_other(dao: MemoryDao, clock: Clock) -> None:
    """R10, R16: a run that names its batches in another order than the one that has begun holds none in vain."""
    trainable = frozenset({BatchStatus.RELEASED})
    dao.batches.change_status(1, trainable, BatchStatus.TRAINING, run_id="other", reason="", at=NOW)
    dao.runs.request_cancel("run-1", NOW)
    dao.runs.create(training_run("both", batches=(2, 1)))

    async def scenario() -> None:
        await until(lambda: "waits" in dao.runs.get("both").reason)
        assert dao.batches.get(2).status is BatchStatus.RELEASED

    play((dao, Module(), clock), scenario=scenario)


def test_r16_the_batches_of_a_run_are_read_in_the_order_given(dao: MemoryDao, clock: Clock) -> None:
    """R14, R16: inputs come batch by batch as the run names them."""
    dao.runs.request_cancel("run-1", NOW)
    dao.runs.create(training_run("both", batches=(2, 1)))
    fine_tune = Module(lambda: model_version("both"))
    play((dao, fine_tune, clock), scenario=ended(dao, "both"))
    assert fine_tune.calls == [["b2-1", "b1-1"]]


def test_r16_an_archived_batch_fails_the_run(dao: MemoryDao, clock: Clock) -> None:
    """R10: a batch that was archived after the run was queued ends it with the reason."""
    released = frozenset({BatchStatus.RELEASED})
    dao.batches.change_status(1, released, BatchStatus.ARCHIVED, run_id="", reason="", at=NOW)
    play((dao, Module(), clock), scenario=ended(dao))
    assert (state(dao), dao.runs.get("run-1").reason) == (RunState.FAILED, "batch-1 is archived")
    assert dao.batches.get(1).status is BatchStatus.ARCHIVED


def test_r16_a_stopped_worker_gives_its_run_back(dao: MemoryDao, clock: Clock) -> None:
    """R16, R20: a drained server lets another go on at once; being stopped is no attempt."""
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


def test_r16_a_crashed_workers_run_is_taken_up_and_sees_the_same_inputs(dao: MemoryDao, clock: Clock) -> None:
    """R14, R16: after the lease of a worker that fell silent another begins again, with the same inputs."""
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
    """R16: also a run that never lives to say why it fails ends in a state with a reason."""
    for _ in range(module.MAX_ATTEMPTS):
        assert dao.runs.claim("crashed", clock(), clock() + LEASE * SECOND) is not None
        clock.forward(LEASE)
    fine_tune = Module()
    play((dao, fine_tune, clock), scenario=ended(dao))
    assert state(dao) is RunState.FAILED
    assert "gave up" in dao.runs.get("run-1").reason
    assert fine_tune.calls == []


def test_r16_a_store_that_goes_away_stops_the_worker_for_that_long_only(dao: MemoryDao, clock: Clock) -> None:
    """R3, R16: claims and heartbeats outlive an outage shorter than the lease; the run goes on."""
    fine_tune = Endless()
    dao.down = True

    async def scenario() -> None:
        await until(lambda: dao.refusals > 2)  # claims
        assert fine_tune.calls == []
        dao.down = False
        await until(lambda: dao.runs.get("run-1").progress == REPORT)
        before = dao.refusals
        dao.down = True
        await until(lambda: dao.refusals > before + 2)  # heartbeats
        dao.down = False
        before = dao._state.held["run-1"][0]
        clock.forward(1)
        await until(lambda: dao._state.held["run-1"][0] > before)
        assert fine_tune.closed == 0

    play((dao, fine_tune, clock), scenario=scenario)
    assert len(fine_tune.calls) == 1


def test_r16_two_workers_share_the_runs(dao: MemoryDao, clock: Clock) -> None:
    """R16: every run is trained exactly once, whoever takes it."""
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
