"""What every store promises about runs of the improvement queue: they are one after another (R15, R17)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.builders import NOW, SECOND, model_version, training_run

from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.errors import FailedPrecondition
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import RunState


def begin(dao: ClickstreamDao, run_id: str) -> bool:
    """Creates a run of the queue; says whether it may begin."""
    try:
        return dao.runs.create(replace(training_run(run_id, batches=()), from_improvement_queue=True))[1]
    except FailedPrecondition:
        return False


def end(dao: ClickstreamDao, run_id: str, state: RunState, version: ModelVersion | None = None) -> None:
    """A worker takes the run and ends it."""
    assert dao.runs.claim("me", NOW, NOW + SECOND).run_id == run_id
    assert dao.runs.finish(run_id, "me", state, "", version, NOW)


def test_r15_no_run_of_the_queue_begins_while_another_is_open(dao: ClickstreamDao) -> None:
    """R15: a refused run leaves no trace, and runs over batches begin all the same."""
    assert dao.runs.open_improvement_run() is None
    assert begin(dao, "improve-1")
    assert dao.runs.open_improvement_run() == "improve-1"
    assert not begin(dao, "improve-2")
    assert dao.runs.get("improve-2") is None
    assert dao.runs.create(training_run("run-1"))[1]
    assert dao.runs.create(training_run("run-2"))[1]
    # The same run again, after an answer that was lost, is no other.
    again, created = dao.runs.create(replace(training_run("improve-1", batches=()), from_improvement_queue=True))
    assert (again.run_id, created) == ("improve-1", False)


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.CANCELED, RunState.SUCCEEDED])
def test_r15_the_next_begins_once_a_run_has_ended(dao: ClickstreamDao, state: RunState) -> None:
    """R15: the next run may begin after a run with any end, unless its version passed the gate."""
    begin(dao, "improve-1")
    version = replace(model_version("improve-1"), gate_passed=False) if state is RunState.SUCCEEDED else None
    end(dao, "improve-1", state, version)
    assert dao.runs.open_improvement_run() is None
    assert begin(dao, "improve-2")


def test_r15_the_next_begins_once_a_run_was_canceled_before_it_began(dao: ClickstreamDao) -> None:
    """R15: a run that no worker ever took is over, too."""
    begin(dao, "improve-1")
    dao.runs.request_cancel("improve-1", NOW)
    assert begin(dao, "improve-2")


def test_r17_the_next_waits_for_the_promotion(dao: ClickstreamDao) -> None:
    """R17: after a version that passed its gate the next run begins when its promotion is decided, not before."""
    begin(dao, "improve-1")
    end(dao, "improve-1", RunState.SUCCEEDED, model_version("improve-1"))
    assert dao.runs.open_improvement_run() == "improve-1"
    assert not begin(dao, "improve-2")
    dao.runs.promotion_decided("improve-1")
    assert dao.runs.open_improvement_run() is None
    assert begin(dao, "improve-2")


def test_r15_of_many_that_begin_at_once_one_does(dao: ClickstreamDao) -> None:
    """R15: of several runs that are created at once, the store admits one."""
    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(lambda number: begin(dao, f"improve-{number}"), range(8)))
    assert begun.count(True) == 1
    assert dao.runs.open_improvement_run() == f"improve-{begun.index(True)}"
