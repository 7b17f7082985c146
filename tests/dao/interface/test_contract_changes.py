"""What every store promises about the moments at which work is due."""

from support.builders import NOW, SECOND, stored_session, training_run

from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.improvement import ImprovementState, TaskOutcome
from clickstream.domain.runs import RunState


def test_r16_the_next_end_is_that_of_a_lease_or_a_wait(dao: ClickstreamDao) -> None:
    """R16: a waiting run is due when it may be tried, a running one when its lease ends, an ended one never."""
    assert dao.changes.next_due(NOW) is None
    for number, at in enumerate((1, 2), start=1):
        dao.runs.create(training_run(f"run-{number}", at=NOW + at * SECOND))
    assert dao.changes.next_due(NOW) == NOW + SECOND
    assert dao.changes.next_due(NOW + SECOND) == NOW + 2 * SECOND
    dao.runs.claim("w-1", NOW + SECOND, NOW + 11 * SECOND)
    dao.runs.claim("w-2", NOW + 2 * SECOND, NOW + 12 * SECOND)
    assert dao.changes.next_due(NOW) == NOW + 11 * SECOND
    dao.runs.renew("run-1", "w-1", NOW + 20 * SECOND, None)
    assert dao.changes.next_due(NOW) == NOW + 12 * SECOND
    dao.runs.give_back("run-2", "w-2", RunState.QUEUED, "waits", NOW + 7 * SECOND, 0)
    assert dao.changes.next_due(NOW) == NOW + 7 * SECOND
    assert dao.changes.next_due(NOW + 7 * SECOND) == NOW + 20 * SECOND
    dao.runs.finish("run-1", "w-1", RunState.FAILED, "", None, NOW)
    assert dao.changes.next_due(NOW + 7 * SECOND) is None


def test_r15_the_next_end_is_that_of_a_task_too(dao: ClickstreamDao) -> None:
    """R15: a processing task is due when its lease ends; other tasks are never."""
    for session_id in "ab":
        dao.improvement.queue(stored_session(session_id), NOW)
    assert dao.changes.next_due(NOW - SECOND) is None
    dao.improvement.take(["a"], "run-1", NOW, NOW + 9 * SECOND)
    dao.improvement.take(["b"], "run-2", NOW, NOW + 5 * SECOND)
    assert dao.changes.next_due(NOW) == NOW + 5 * SECOND
    dao.improvement.settle("run-2", ["b"], TaskOutcome(ImprovementState.DONE, "", "model-1"), NOW)
    assert dao.changes.next_due(NOW) == NOW + 9 * SECOND
    dao.improvement.put_back("run-1", NOW + 9 * SECOND, NOW + 9 * SECOND)
    assert dao.changes.next_due(NOW) is None
