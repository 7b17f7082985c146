"""The improvement queue's worker: groups, runs and what becomes of each session (R13, R15, R16)."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support import made_up
from support.builders import NOW, SECOND, model_version, push, session_draft, session_drafts, stored_session, struct
from support.made_up import LEASE, RULES, Endless, Module, play, queue, raising
from support.memory_store import MemoryDao
from support.servers import DEFAULTS, PATIENCE, Clock, until

from clickstream.domain import limits
from clickstream.domain.analytics import day_of
from clickstream.domain.errors import FailedPrecondition, Reason, Unavailable
from clickstream.domain.improvement import ImprovementState, ImprovementTask
from clickstream.domain.robots import RobotVerdict
from clickstream.domain.runs import ENDED, RunState, TrainingRun
from clickstream.workers import improvement_queue as module
from clickstream.workers.run_worker import RETRY_SECONDS

pytestmark = pytest.mark.usefixtures("few_queries_do")

IMPOSSIBLE = FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, "too few queries")
FINAL = {ImprovementState.DONE, ImprovementState.FAILED, ImprovementState.REFUSED, ImprovementState.CANCELED}


@pytest.fixture
def dao(memory_dao: MemoryDao) -> MemoryDao:
    """Six sessions, each with a click, in two batches of which the second collects; three are put forward."""
    for batch in (1, 2):
        memory_dao.sessions.append(session_drafts(3, f"b{batch}"))
        memory_dao.events.append([push(f"b{batch}-{number}", "e-1") for number in (1, 2, 3)])
        if batch == 1:
            memory_dao.batches.release("r-1", None, NOW)
    put_forward(memory_dao, "b2-1", "b1-3", "b1-1")
    return memory_dao


def put_forward(dao: MemoryDao, *session_ids: str, at: float = 0) -> None:
    """Puts sessions into the queue."""
    for session_id in session_ids:
        stored = dao.sessions.get(session_id)
        assert stored is not None
        dao.improvement.queue(stored, NOW + at * SECOND)


def tasks(dao: MemoryDao) -> dict[str, ImprovementTask]:
    """All tasks by session id."""
    return {task.session_id: task for task in dao.improvement.list(None, 100, frozenset())}


def runs(dao: MemoryDao) -> list[TrainingRun]:
    """All runs, the oldest first."""
    return dao.runs.list(None, 100, frozenset())[::-1]


def settled(dao: MemoryDao) -> Callable[[], Any]:
    """Waits until every task is in a final state."""

    async def wait() -> None:
        await until(lambda: all(task.state in FINAL for task in tasks(dao).values()))

    return wait


def settled_and_promoted(dao: MemoryDao) -> Callable[[], Any]:
    """Waits until every task is final and the next run may begin."""

    async def wait() -> None:
        await settled(dao)()
        await until(lambda: dao.runs.open_improvement_run() is None)

    return wait


def test_r15_waiting_sessions_become_a_run(dao: MemoryDao, clock: Clock) -> None:
    """R14, R15: the run's inputs are its sessions, by place; each ends as done, with the gate's reason and model."""
    fine_tune = Module()
    play((dao, fine_tune, clock), scenario=settled(dao))
    [run] = runs(dao)
    assert fine_tune.calls == [["b1-1", "b1-3", "b2-1"]]
    assert (run.state, run.from_improvement_queue, run.batches, run.settings) == (
        RunState.SUCCEEDED,
        True,
        (),
        DEFAULTS,
    )
    assert (run.conversion.session_count, run.conversion.input_count) == (3, 3)
    for task in tasks(dao).values():
        assert (task.state, task.reason) == (ImprovementState.DONE, "nDCG@10 rose")
        assert (task.run_id, task.model_version_id, task.attempts) == (run.run_id, "model-run-1", 1)
    assert dao.batches.get(1).history[-1].status == "released"


def test_r15_fewer_sessions_wait_until_the_first_is_old_enough(dao: MemoryDao, clock: Clock) -> None:
    """R15: with fewer sessions than the rule, no run begins before the first has waited for the age."""
    dao.improvement.cancel("b1-1", NOW)
    run_once = queue(dao, clock).run_once
    clock.forward(RULES.age.total_seconds() - 1)
    run_once()
    assert runs(dao) == []
    clock.forward(1)
    run_once()
    [run] = runs(dao)
    assert {each.session_id for each in tasks(dao).values() if each.run_id == run.run_id} == {"b2-1", "b1-3"}


def test_r15_several_workers_train_every_session_once(dao: MemoryDao, clock: Clock) -> None:
    """R15: two workers share the queue; no session is in two runs."""
    put_forward(dao, "b1-2", "b2-2", "b2-3", at=1)
    clock.forward(1)
    one, two = Module(), Module()
    play((dao, one, clock), (dao, two, clock), scenario=settled(dao))
    trained = [session_id for call in one.calls + two.calls for session_id in call]
    assert sorted(trained) == ["b1-1", "b1-2", "b1-3", "b2-1", "b2-2", "b2-3"]


def test_r13_a_session_that_cannot_train_is_refused_alone(dao: MemoryDao, clock: Clock) -> None:
    """R13, R15: each such session ends as refused with the conversion's reason, and the others train."""
    dao.sessions.append(session_drafts(6, "x"))
    dao.events.append([push("x-2", "e-1", object_id="never shown"), push("x-3", "e-1"), push("x-4", "e-1")])
    dao.sessions.append([session_draft("x-7", meta=struct(price=3.0))])
    dao.events.append([push("x-7", "e-1")])
    put_forward(dao, "x-1", "x-2", "x-3", "x-7")
    dao.improvement.queue(stored_session("purged", 2, 99), NOW)
    dao.sessions.mark_irrelevant("b1-1", NOW)
    place = dao._state.places["x-3"]
    broken = dao._state.log[place[0]][place[1] - 1]
    dao._state.log[place[0]][place[1] - 1] = replace(broken, payload=b"\xff\xff")
    fine_tune = Module()
    play((dao, fine_tune, clock), scenario=settled(dao))
    assert fine_tune.calls == [["b1-3", "b2-1"]]
    refused = {task.session_id: task.reason for task in tasks(dao).values() if task.state is ImprovementState.REFUSED}
    assert refused == {
        "b1-1": "irrelevant",
        "x-1": "no_events",
        "x-2": "only_unshown_events",
        "x-3": "unreadable",
        "x-7": "no_text",
        "purged": "gone",
    }
    assert runs(dao)[0].conversion.skipped_sessions == dict.fromkeys(refused.values(), 1)


def test_r13_a_template_that_says_nothing_of_any_item_refuses_no_session(
    dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R13, R15: if no session has text, the sessions wait again, except those that can never train."""
    monkeypatch.setattr(made_up, "DEFAULTS", replace(DEFAULTS, item_template="{titel}"))
    dao.sessions.mark_irrelevant("b1-1", NOW)

    async def scenario() -> None:
        await until(lambda: {task.attempts for task in tasks(dao).values()} == {1})

    play((dao, Module(), clock), scenario=scenario)
    reason = "no item has text by the template '{titel}'"
    assert (runs(dao)[0].state, runs(dao)[0].reason) == (RunState.FAILED, reason)
    assert {(task.session_id, str(task.state), task.reason) for task in tasks(dao).values()} == {
        ("b1-1", "refused", "irrelevant"),
        ("b1-3", "pending", reason),
        ("b2-1", "pending", reason),
    }


def test_r13_a_malformed_template_refuses_no_session(
    dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R13, R15: the run fails with the trainer's message, and its sessions wait again."""
    monkeypatch.setattr(made_up, "DEFAULTS", replace(DEFAULTS, item_template="{"))

    async def scenario() -> None:
        await until(lambda: {task.attempts for task in tasks(dao).values()} == {1})

    play((dao, Module(raising(IMPOSSIBLE)), clock), scenario=scenario)
    assert {(task.state, task.reason) for task in tasks(dao).values()} == {("pending", "too few queries")}


def test_r15_a_failed_run_is_tried_again_and_then_given_up(dao: MemoryDao, clock: Clock) -> None:
    """R15: after each failed run its sessions wait longer, with the reason, and fail with the last run."""
    fine_tune = Module(raising(IMPOSSIBLE))

    async def scenario() -> None:
        for attempts, pause in ((1, 20), (2, 40)):
            await until(lambda attempts=attempts: {task.attempts for task in tasks(dao).values()} == {attempts})
            assert {(task.state, task.reason) for task in tasks(dao).values()} == {("pending", "too few queries")}
            assert {task.not_before for task in tasks(dao).values()} == {clock() + pause * SECOND}
            clock.forward(pause)
        await settled(dao)()

    play((dao, fine_tune, clock), scenario=scenario)
    assert {(task.state, task.reason, task.attempts) for task in tasks(dao).values()} == {
        ("failed", "too few queries", 3)
    }
    assert [run.state for run in runs(dao)] == [RunState.FAILED] * 3
    assert len(fine_tune.calls) == 3


def test_r15_a_run_that_waits_keeps_its_sessions(dao: MemoryDao, clock: Clock) -> None:
    """R15, R16: while the trainer is away the run waits, and its sessions are still its own."""
    fine_tune = Module(raising(Unavailable(Reason.TRAINER_UNAVAILABLE, "connection refused")))

    async def scenario() -> None:
        await until(lambda: runs(dao) and runs(dao)[0].reason == "connection refused")
        await until(lambda: len(fine_tune.calls) == 1)
        fine_tune.then = model_version
        clock.forward(RETRY_SECONDS)
        await settled(dao)()

    play((dao, fine_tune, clock), scenario=scenario)
    assert {(task.state, task.attempts) for task in tasks(dao).values()} == {("done", 1)}
    assert [run.attempts for run in runs(dao)] == [2]


def test_r15_a_refused_session_is_not_tried_again(dao: MemoryDao, clock: Clock) -> None:
    """R15: after a failed run, sessions that can never train are refused at once, and the others wait."""
    dao.sessions.mark_irrelevant("b1-1", NOW)

    async def scenario() -> None:
        await until(lambda: tasks(dao)["b1-1"].state is ImprovementState.REFUSED)
        await until(lambda: tasks(dao)["b1-3"].attempts == 1)

    play((dao, Module(raising(IMPOSSIBLE)), clock), scenario=scenario)
    assert [tasks(dao)[session_id].state for session_id in ("b1-3", "b2-1")] == ["pending", "pending"]


def test_r15_a_canceled_run_cancels_its_sessions(dao: MemoryDao, clock: Clock) -> None:
    """R15, R16: the sessions of a run that was canceled by request end as canceled."""
    fine_tune = Endless()

    async def scenario() -> None:
        await until(lambda: fine_tune.calls)
        dao.runs.request_cancel(runs(dao)[0].run_id, NOW)
        await settled(dao)()

    play((dao, fine_tune, clock), scenario=scenario)
    assert {(task.state, task.reason) for task in tasks(dao).values()} == {("canceled", "canceled by request")}


def test_r15_a_run_canceled_before_it_began_cancels_its_sessions(dao: MemoryDao, clock: Clock) -> None:
    """R15, R16: the sessions of a run that ended without a worker are settled when their lease has expired."""
    improvement = queue(dao, clock)
    improvement.run_once()
    dao.runs.request_cancel(runs(dao)[0].run_id, NOW)
    improvement.run_once()
    assert {task.state for task in tasks(dao).values()} == {"processing"}
    clock.forward(LEASE)
    improvement.run_once()
    assert {task.state for task in tasks(dao).values()} == {"canceled"}


def test_r14_a_run_that_goes_on_elsewhere_sees_the_same_sessions_and_events(dao: MemoryDao, clock: Clock) -> None:
    """R14, R16: events, marks and sessions that come after the first reading change nothing for the run."""
    stopped = Endless()

    async def first_reading() -> None:
        await until(lambda: stopped.calls)

    play((dao, stopped, clock), scenario=first_reading)
    [run] = runs(dao)
    before = run_inputs(dao, clock, run)
    dao.events.append([push("b2-1", "late", object_id="b", type="purchase")])
    dao.sessions.mark_irrelevant("b1-1", NOW)
    put_forward(dao, "b1-2")
    assert run_inputs(dao, clock, run) == before
    fine_tune = Module()
    clock.forward(LEASE)
    play((dao, fine_tune, clock), scenario=lambda: until(lambda: tasks(dao)["b1-1"].state in FINAL))
    assert fine_tune.calls == stopped.calls
    assert tasks(dao)["b1-1"].state is ImprovementState.DONE
    assert tasks(dao)["b1-2"].state is ImprovementState.PENDING


def test_r14_what_came_late_for_one_run_counts_for_the_next(dao: MemoryDao, clock: Clock) -> None:
    """R14, R15: after a failed run, the next run reads its sessions as they are by then."""
    improvement = queue(dao, clock)
    improvement.run_once()
    [failed] = runs(dao)
    run_inputs(dao, clock, failed)
    dao.events.append([push("b2-1", "late")])
    dao.runs.claim("me", NOW, NOW + LEASE * SECOND)
    dao.runs.finish(failed.run_id, "me", RunState.FAILED, "too few queries", None, NOW)
    improvement.settle(failed.run_id)
    clock.forward(RULES.backoff.total_seconds())
    improvement.run_once()
    inputs = run_inputs(dao, clock, runs(dao)[-1])
    assert [each.results[0].event_ids for [each] in inputs] == [("e-1",), ("e-1",), ("e-1", "late")]


def run_inputs(dao: MemoryDao, clock: Clock, run: TrainingRun) -> list[Any]:
    """The inputs of a run as a worker reads them now."""
    improvement = queue(dao, clock)
    return list(improvement.pages(run, improvement._inputs.new_summary(0)))


def test_r15_a_group_whose_worker_died_goes_back(dao: MemoryDao, clock: Clock) -> None:
    """R15: tasks of a run that was never created wait again once their lease expired; that is no attempt."""
    dao.improvement.take(["b1-1", "b1-3"], "improve-never", NOW, NOW + LEASE * SECOND)
    improvement = queue(dao, clock)
    clock.forward(LEASE - 1)
    improvement.run_once()
    assert tasks(dao)["b1-1"].run_id == "improve-never"
    clock.forward(1)
    fine_tune = Module()
    play((dao, fine_tune, clock), scenario=settled(dao))
    assert fine_tune.calls == [["b1-1", "b1-3", "b2-1"]]
    assert {task.attempts for task in tasks(dao).values()} == {1}


def test_r15_a_run_that_was_created_late_has_nothing_left(dao: MemoryDao, clock: Clock) -> None:
    """R15, R16: of a worker that stalled between taking and creating, the run ends with the reason, training nothing.

    Its sessions are trained in another run.
    """
    create, fine_tune = dao.runs.create, Module()
    late: list[TrainingRun] = []
    dao.runs.create = late.append  # type: ignore[method-assign,assignment]
    queue(dao, clock).run_once()
    dao.runs.create = create  # type: ignore[method-assign]
    clock.forward(LEASE)
    play((dao, fine_tune, clock), scenario=settled_and_promoted(dao))
    create(late[0])
    play((dao, fine_tune, clock), scenario=lambda: until(lambda: runs(dao)[0].state in ENDED))
    ended = dao.runs.get(late[0].run_id)
    assert (ended.state, ended.reason) == (
        RunState.FAILED,
        "its sessions went back into the queue before it began",
    )
    assert len(fine_tune.calls) == 1
    assert {task.state for task in tasks(dao).values()} == {"done"}


def test_r15_a_run_that_was_read_keeps_its_sessions(dao: MemoryDao, clock: Clock) -> None:
    """R15: a worker that took a run for missing cannot put its sessions back once the run has begun."""
    improvement = queue(dao, clock)
    improvement.run_once()
    [run] = runs(dao)
    clock.forward(LEASE)
    next(improvement.pages(run, improvement._inputs.new_summary(0)))
    dao.improvement.put_back(run.run_id, clock(), clock())
    assert {task.run_id for task in tasks(dao).values()} == {run.run_id}
    clock.forward(LEASE)
    improvement.run_once()  # the run goes on and keeps its sessions
    assert {task.lease_ends_at for task in tasks(dao).values()} == {clock() + LEASE * SECOND}


def test_r15_what_one_worker_left_unsettled_another_settles(
    dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R15: if a worker dies while it settles the sessions of an ended run, another settles the rest."""
    settle, calls = dao.improvement.settle, []

    def fail(*arguments: Any) -> None:
        calls.append(arguments)
        raise Unavailable(Reason.STORE_UNAVAILABLE, "no primary")

    monkeypatch.setattr(dao.improvement, "settle", fail)
    fine_tune = Module()
    play((dao, fine_tune, clock), scenario=lambda: until(lambda: calls))
    assert runs(dao)[0].state is RunState.SUCCEEDED
    monkeypatch.setattr(dao.improvement, "settle", settle)
    clock.forward(LEASE)
    play((dao, fine_tune, clock), scenario=settled(dao))
    assert {task.state for task in tasks(dao).values()} == {"done"}
    assert len(fine_tune.calls) == 1


def test_r20_a_worker_that_is_stopped_while_it_groups_creates_the_run(
    dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R15, R20: a worker that is stopped after it took sessions still queues their run."""
    create, entered, goes_on = dao.runs.create, threading.Event(), threading.Event()

    def slowly(run: TrainingRun) -> Any:
        entered.set()
        goes_on.wait(PATIENCE)
        return create(run)

    monkeypatch.setattr(dao.runs, "create", slowly)

    async def stop() -> None:
        working = asyncio.create_task(made_up.worker(dao, Module(), clock).work())
        await until(entered.is_set)
        working.cancel()
        done, _ = await asyncio.wait([working], timeout=0.05)
        assert not done
        goes_on.set()
        await asyncio.gather(working, return_exceptions=True)
        assert [run.state for run in runs(dao)] == [RunState.QUEUED]

    asyncio.run(stop())


def test_r15_a_queue_that_cannot_be_read_stops_no_run(
    dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R15, R16: an unexpected exception in the queue is logged, and training runs go on."""
    monkeypatch.setattr(dao.improvement, "expired_run", lambda now: 1 / 0)
    dao.runs.create(made_up_run())
    play((dao, Module(), clock), scenario=made_up.ended(dao))
    assert made_up.state(dao) is RunState.SUCCEEDED


def made_up_run() -> TrainingRun:
    """A run over the released batch."""
    return TrainingRun("run-1", (1,), DEFAULTS, b"", RunState.QUEUED, NOW)


def test_r15_a_group_has_a_largest_size(dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """R15: a long queue is trained in several runs, the oldest sessions first."""
    monkeypatch.setattr(limits, "IMPROVEMENT_GROUP", 4)
    put_forward(dao, "b1-2", "b2-2", at=1)
    clock.forward(1)
    queue(dao, clock).run_once()
    [run] = runs(dao)
    taken = {task.session_id for task in tasks(dao).values() if task.run_id == run.run_id}
    assert taken == {"b2-1", "b1-3", "b1-1", "b1-2"}


def test_r7_a_long_reason_is_cut(dao: MemoryDao, clock: Clock) -> None:
    """R7: a long reason of a run is cut in its tasks, so that a page of them can be read."""
    endless = FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, "x" * 10_000)

    async def scenario() -> None:
        await until(lambda: tasks(dao)["b1-1"].attempts == 1)

    play((dao, Module(raising(endless)), clock), scenario=scenario)
    assert tasks(dao)["b1-1"].reason == "x" * module.REASON_CHARACTERS


def test_r15_the_model_of_the_run_is_the_model_of_its_tasks(dao: MemoryDao, clock: Clock) -> None:
    """R15: a model that did not pass its gate is named, too, with the gate's reason."""
    kept = replace(model_version(), model_version_id="model-9", gate_passed=False, gate_reason="no gain beyond noise")
    play((dao, Module(lambda: kept), clock), scenario=settled(dao))
    assert {(task.state, task.reason, task.model_version_id) for task in tasks(dao).values()} == {
        ("done", "no gain beyond noise", "model-9")
    }


def test_r27_a_robots_session_is_refused_alone(dao: MemoryDao, clock: Clock) -> None:
    """R27: a run of the queue applies the verdicts of the time when it was queued, and carries their number."""
    dao.sessions.append([session_draft("robot", user_id="crawler")])
    dao.events.append([push("robot", "e-1")])
    put_forward(dao, "robot")
    dao.robots.append([RobotVerdict("crawler", day_of(NOW), True, "policy", NOW)], 0)
    fine_tune = Module()
    play((dao, fine_tune, clock), scenario=settled(dao))
    [run] = runs(dao)
    assert fine_tune.calls == [["b1-1", "b1-3", "b2-1"]]
    assert (run.robot_verdict_number, run.conversion.robot_verdict_number) == (1, 1)
    assert (tasks(dao)["robot"].state, tasks(dao)["robot"].reason) == (ImprovementState.REFUSED, "robot")
