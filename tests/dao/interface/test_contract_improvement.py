"""What every store promises about the improvement queue (R15)."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.builders import NOW, SECOND, push, session_drafts, stored_session

from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.improvement import ImprovementState, ImprovementTask, TaskOutcome

NONE: frozenset = frozenset()
PENDING, PROCESSING = ImprovementState.PENDING, ImprovementState.PROCESSING
DONE = TaskOutcome(ImprovementState.DONE, "nDCG@10 rose", "model-1")


def queue(dao: ClickstreamDao, *session_ids: str, at: float = 0) -> None:
    """Puts sessions forward, numbered in this order."""
    for number, session_id in enumerate(session_ids, start=1):
        dao.improvement.queue(stored_session(session_id, 1, number), NOW + at * SECOND)


def take(dao: ClickstreamDao, run_id: str, *session_ids: str, at: float = 0, lease: float = 10) -> int:
    """Moves tasks into a run under a lease of `lease` seconds."""
    now = NOW + at * SECOND
    return dao.improvement.take(session_ids, run_id, now, now + lease * SECOND)


def put_back(dao: ClickstreamDao, run_id: str, at: float) -> None:
    """Puts tasks with an expired lease back."""
    dao.improvement.put_back(run_id, NOW + at * SECOND, NOW + at * SECOND)


def tasks(dao: ClickstreamDao) -> dict[str, ImprovementTask]:
    """All tasks by session id."""
    return {task.session_id: task for task in dao.improvement.list(None, 100, NONE)}


def test_r15_a_session_is_queued_once(dao: ClickstreamDao) -> None:
    """R15: queueing again returns the task in its present state; a task names its session's batch and number."""
    session = stored_session("s-1", 3, 7)
    task, created = dao.improvement.queue(session, NOW)
    assert created
    assert task == ImprovementTask("s-1", PENDING, NOW, NOW, not_before=NOW, batch=3, number=7)
    assert dao.improvement.queue(session, NOW + SECOND) == (task, False)
    canceled = dao.improvement.cancel("s-1", NOW + SECOND)
    assert dao.improvement.queue(session, NOW + 2 * SECOND) == (canceled, False)
    assert dao.improvement.get("s-1") == canceled
    assert dao.improvement.get("s-2") is None


def test_r15_a_pending_task_is_canceled_once(dao: ClickstreamDao) -> None:
    """R15: cancelling twice changes nothing more; there is nothing to cancel where nothing is queued."""
    queue(dao, "s-1")
    canceled = dao.improvement.cancel("s-1", NOW + SECOND)
    assert (canceled.state, canceled.updated_at) == (ImprovementState.CANCELED, NOW + SECOND)
    assert dao.improvement.cancel("s-1", NOW + 2 * SECOND) == canceled
    assert dao.improvement.cancel("s-2", NOW) is None


@pytest.mark.parametrize("state", list(ImprovementState))
def test_r15_a_task_that_no_run_improved_is_retried(dao: ClickstreamDao, state: ImprovementState) -> None:
    """R15: a failed, refused or canceled task is pending again as if queued now; tasks in other states stay."""
    queue(dao, "s-1")
    if state is ImprovementState.CANCELED:
        dao.improvement.cancel("s-1", NOW)
    elif state is not PENDING:
        take(dao, "run-1", "s-1")
    if state not in (PENDING, PROCESSING, ImprovementState.CANCELED):
        dao.improvement.settle("run-1", ["s-1"], TaskOutcome(state, "because"), NOW)
    before, later = tasks(dao)["s-1"], NOW + 5 * SECOND
    assert before.state is state
    is_retried = state in (ImprovementState.FAILED, ImprovementState.REFUSED, ImprovementState.CANCELED)
    assert dao.improvement.retry("s-1", later) == is_retried
    retried = ImprovementTask("s-1", PENDING, NOW, later, not_before=later, batch=1, number=1)
    assert tasks(dao)["s-1"] == (retried if is_retried else before)
    assert not dao.improvement.retry("s-1", later + SECOND)
    assert not dao.improvement.retry("never put forward", later)


def test_r15_tasks_are_listed_in_queueing_order(dao: ClickstreamDao) -> None:
    """R15: a listing goes by time, then id, and goes on after any row without loss or repetition."""
    rows = [("c", 0), ("a", 1), ("b", 1), ("d", 1), ("0", 2)]
    for session_id, at in rows:
        queue(dao, session_id, at=at)
    dao.improvement.cancel("b", NOW + 5 * SECOND)
    everything = dao.improvement.list(None, 10, NONE)
    assert [task.session_id for task in everything] == [session_id for session_id, _ in rows]
    for index, task in enumerate(everything):
        assert dao.improvement.list((task.queued_at, task.session_id), 2, NONE) == everything[index + 1 : index + 3]
    assert dao.improvement.list(None, 10, frozenset({ImprovementState.CANCELED})) == [everything[2]]
    assert dao.improvement.list(None, 2, frozenset({PENDING})) == everything[:2]


def test_r15_tasks_are_listed_by_run(dao: ClickstreamDao) -> None:
    """R15: a run's tasks are found by its id, in whatever state they are, or in those asked for."""
    queue(dao, "a", "b", "c")
    take(dao, "run-1", "a", "b")
    dao.improvement.settle("run-1", ["a"], DONE, NOW)
    assert [task.session_id for task in dao.improvement.list(None, 9, NONE, "run-1")] == ["a", "b"]
    assert [task.session_id for task in dao.improvement.list(None, 9, frozenset({PROCESSING}), "run-1")] == ["b"]
    assert [task.session_id for task in dao.improvement.list((NOW, "a"), 9, NONE, "run-1")] == ["b"]
    assert dao.improvement.list(None, 9, NONE, "run-2") == []


def test_r15_tasks_are_counted_by_state(dao: ClickstreamDao) -> None:
    """R15: each task is counted once, by its present state; a state without tasks is absent."""
    assert dao.improvement.counts() == {}
    queue(dao, "a", "b", "c", "d")
    dao.improvement.cancel("a", NOW)
    take(dao, "run-1", "b")
    assert dao.improvement.counts() == {PENDING: 2, PROCESSING: 1, ImprovementState.CANCELED: 1}


def test_r15_what_waits_longest_is_due_first(dao: ClickstreamDao) -> None:
    """R15: pending tasks that may be tried by now are due, the longest waiting first, up to the limit."""
    for at, session_id in enumerate(["c", "b", "a", "later"]):
        queue(dao, session_id, at=at)
    dao.improvement.cancel("b", NOW)
    assert list(dao.improvement.due(NOW + 2 * SECOND, 9)) == ["c", "a"]
    assert list(dao.improvement.due(NOW + 9 * SECOND, 2)) == ["c", "a"]
    assert dao.improvement.due(NOW - SECOND, 9) == {}


def test_r15_what_waits_is_counted_up_to_a_limit(dao: ClickstreamDao) -> None:
    """R15: waiting tasks are counted up to the limit, with the time since which the first has waited."""
    assert dao.improvement.waiting(NOW, 9) == (0, None)
    for at, session_id in enumerate(["c", "b", "a", "later"], start=1):
        queue(dao, session_id, at=at)
    dao.improvement.cancel("c", NOW)
    assert dao.improvement.waiting(NOW + SECOND, 9) == (0, None)
    assert dao.improvement.waiting(NOW + 3 * SECOND, 9) == (2, NOW + 2 * SECOND)
    assert dao.improvement.waiting(NOW + 9 * SECOND, 2) == (2, NOW + 2 * SECOND)


def test_r15_what_is_due_comes_with_its_query(dao: ClickstreamDao) -> None:
    """R15: a session keeps the query with which it was queued first."""
    for session_id, query in (("a", "red shoe"), ("b", ""), ("a", "blue shoe")):
        dao.improvement.queue(stored_session(session_id), NOW, query)
    assert dao.improvement.due(NOW, 9) == {"a": "red shoe", "b": ""}


def test_r15_a_task_belongs_to_one_run(dao: ClickstreamDao) -> None:
    """R15: taking moves pending tasks only; each then shows its lease and is no longer due."""
    queue(dao, "a", "b", "c")
    dao.improvement.cancel("b", NOW)
    assert take(dao, "run-1", "a", "b", "c", at=1) == 2
    taken = tasks(dao)["a"]
    assert (taken.state, taken.run_id, taken.updated_at) == (PROCESSING, "run-1", NOW + SECOND)
    assert taken.lease_ends_at == NOW + 11 * SECOND
    assert dao.improvement.due(NOW + 9 * SECOND, 9) == {}
    assert dao.improvement.cancel("a", NOW) == taken


def test_r15_one_of_several_workers_takes_all_of_the_same_tasks(dao: ClickstreamDao) -> None:
    """R15: a worker that does not get the first task takes none, so that no group is split."""
    session_ids = [f"s-{number}" for number in range(20)]
    queue(dao, *session_ids)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda number: take(dao, f"run-{number}", *session_ids), range(8)))
    assert sorted(taken) == [0] * 7 + [20]
    assert Counter(task.run_id for task in tasks(dao).values()) == Counter({f"run-{taken.index(20)}": 20})
    assert take(dao, "empty") == 0


def test_r15_the_second_worker_takes_nothing(dao: ClickstreamDao) -> None:
    """R15: if the first task is taken already, the others stay pending."""
    queue(dao, "a", "b")
    take(dao, "run-1", "a")
    assert take(dao, "run-2", "a", "b") == 0
    assert tasks(dao)["b"].state is PENDING


def test_r15_a_renewed_lease_returns_tasks_by_place(dao: ClickstreamDao) -> None:
    """R14, R15: a run's tasks come in the order of the log, with their lease renewed; no others are touched."""
    for session_id, batch, number in (("a", 2, 1), ("b", 1, 10), ("c", 1, 9), ("other", 1, 1)):
        dao.improvement.queue(stored_session(session_id, batch, number), NOW)
    take(dao, "run-1", "a", "b", "c")
    take(dao, "run-2", "other")
    renewed = dao.improvement.renew_lease("run-1", NOW + 99 * SECOND)
    assert [(task.session_id, task.lease_ends_at) for task in renewed] == [
        (session_id, NOW + 99 * SECOND) for session_id in ("c", "b", "a")
    ]
    assert tasks(dao)["other"].lease_ends_at == NOW + 10 * SECOND


def test_r15_an_expired_lease_is_noticed(dao: ClickstreamDao) -> None:
    """R15: the run whose lease expired first comes first; settled tasks have no lease."""
    queue(dao, "a", "b", "c")
    take(dao, "run-2", "b", lease=20)
    take(dao, "run-1", "a", lease=10)
    take(dao, "run-3", "c", lease=5)
    dao.improvement.settle("run-3", ["c"], DONE, NOW)
    assert dao.improvement.expired_run(NOW + 9.999 * SECOND) is None
    assert dao.improvement.expired_run(NOW + 10 * SECOND) == "run-1"
    assert dao.improvement.expired_run(NOW + 60 * SECOND) == "run-1"
    dao.improvement.renew_lease("run-1", NOW + 70 * SECOND)
    assert dao.improvement.expired_run(NOW + 60 * SECOND) == "run-2"


def test_r15_only_tasks_with_an_expired_lease_go_back(dao: ClickstreamDao) -> None:
    """R15: tasks with an expired lease are pending again as if never taken; a renewed lease keeps the others."""
    queue(dao, "a", "b", "c")
    before = tasks(dao)["a"]
    take(dao, "run-1", "a", "b")
    put_back(dao, "run-1", at=9)
    assert tasks(dao)["a"].state is PROCESSING
    take(dao, "run-2", "c")
    put_back(dao, "run-1", at=10)
    found = tasks(dao)
    assert found["a"] == replace(before, updated_at=NOW + 10 * SECOND)
    assert [found[session_id].state for session_id in "abc"] == [PENDING, PENDING, PROCESSING]
    dao.improvement.renew_lease("run-2", NOW + 20 * SECOND)
    put_back(dao, "run-2", at=10)
    assert tasks(dao)["c"].state is PROCESSING


def test_r15_a_task_is_settled_once_and_by_its_run(dao: ClickstreamDao) -> None:
    """R15: an outcome is applied once, to the named tasks that are processing in that run."""
    queue(dao, "a", "b", "c")
    take(dao, "run-1", "a", "b")
    take(dao, "run-2", "c")
    dao.improvement.settle("run-1", ["a", "c"], DONE, NOW + SECOND)
    found = tasks(dao)
    done = found["a"]
    assert (done.state, done.reason, done.model_version_id) == (ImprovementState.DONE, "nDCG@10 rose", "model-1")
    assert (done.attempts, done.run_id, done.updated_at) == (1, "run-1", NOW + SECOND)
    assert done.lease_ends_at is None
    assert [found[session_id].state for session_id in "bc"] == [PROCESSING, PROCESSING]
    dao.improvement.settle("run-1", ["a"], TaskOutcome(ImprovementState.FAILED, "late"), NOW + 2 * SECOND)
    put_back(dao, "run-1", at=99)
    assert tasks(dao)["a"] == done


def test_r15_a_failed_attempt_waits_for_the_next(dao: ClickstreamDao) -> None:
    """R15: a task that is to be tried again is pending with the reason, counts the attempt, and is due later."""
    queue(dao, "a")
    take(dao, "run-1", "a")
    later = TaskOutcome(PENDING, "too few queries", not_before=NOW + 60 * SECOND)
    dao.improvement.settle("run-1", ["a"], later, NOW + SECOND)
    task = tasks(dao)["a"]
    assert (task.state, task.reason, task.attempts, task.run_id) == (PENDING, "too few queries", 1, "run-1")
    assert dao.improvement.due(NOW + 59 * SECOND, 9) == {}
    assert dao.improvement.due(NOW + 60 * SECOND, 9) == {"a": ""}
    assert take(dao, "run-2", "a", at=60) == 1


@pytest.mark.parametrize("run_id", ["", "run-1"])
def test_r14_what_counts_is_fixed_for_each_run(dao: ClickstreamDao, run_id: str) -> None:
    """R14: what one run has read of a session stays so for it, and for no other run nor for the batch."""
    dao.sessions.append(session_drafts(2))
    dao.events.append([push("s-1", "e-1")])
    assert [each.event_id for each in dao.events.frozen(1, 1, 1, run_id)[0][1].events] == ["e-1"]
    dao.events.append([push("s-1", "e-2")])
    dao.sessions.mark_irrelevant("s-1", NOW)
    events, irrelevant = dao.events.frozen(1, 1, 1, run_id)
    assert ([each.event_id for each in events[1].events], events[1].late, irrelevant) == (["e-1"], 1, frozenset())
    events, irrelevant = dao.events.frozen(1, 1, 1, "another")
    assert ([each.event_id for each in events[1].events], irrelevant) == (["e-1", "e-2"], {1})
