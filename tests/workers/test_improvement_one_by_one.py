"""Runs of the improvement queue are one after another, each from what the one before was promoted to (R15, R17)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.builders import NOW, SECOND, model_version, push, session_drafts
from support.made_up import LEASE, RULES, Module, play, promoting
from support.memory_store import MemoryDao
from support.serving import DEFAULTS, POLICY, Clock, until

from clickstream.conversion.reader import InputReader
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain import limits
from clickstream.domain.runs import FineTuningSettings, RunState, TrainingRun
from clickstream.workers.improvement_queue import ImprovementQueue
from clickstream.workers.promoter import Promoter

pytestmark = pytest.mark.usefixtures("few_queries_do")

GROUP = RULES.least


@pytest.fixture(params=["memory", pytest.param("mongod", marks=pytest.mark.mongod)])
def dao(request: pytest.FixtureRequest) -> ClickstreamDao:
    """A store of either kind with two groups of sessions, of which the first is put forward."""
    dao = MongoDao(request.getfixturevalue("database")) if request.param == "mongod" else MemoryDao()
    dao.sessions.append(session_drafts(2 * GROUP))
    dao.events.append([push(f"s-{number}", "e-1") for number in range(1, 2 * GROUP + 1)])
    put_forward(dao, range(1, GROUP + 1))
    return dao


def put_forward(dao: ClickstreamDao, numbers: range) -> None:
    """Queues these sessions."""
    for number in numbers:
        dao.improvement.queue(dao.sessions.get(f"s-{number}"), NOW + number * SECOND / 1000)


def improvement(dao: ClickstreamDao, clock: Clock) -> ImprovementQueue:
    """The queue of a worker that begins from the promoted model."""

    def from_promoted() -> FineTuningSettings:
        current = dao.promotions.current()
        return replace(DEFAULTS, base_model=current.model_version_id) if current else DEFAULTS

    inputs = InputReader(dao, POLICY)
    return ImprovementQueue(dao, inputs, RULES, from_promoted, clock, timedelta(seconds=LEASE))


def runs(dao: ClickstreamDao) -> list[TrainingRun]:
    """All runs, the oldest first."""
    return dao.runs.list(None, 100, frozenset())[::-1]


def states(dao: ClickstreamDao) -> dict[str, str]:
    """How each task stands, by session id."""
    return {task.session_id: str(task.state) for task in dao.improvement.list(None, 100, frozenset())}


def test_r17_the_next_run_learns_from_what_the_last_one_made(dao: ClickstreamDao, clock: Clock) -> None:
    """R17: sessions wait while a run is open and while its promotion is undecided; then they train the new model."""
    clock.forward(1)
    queue = improvement(dao, clock)
    queue.look_after()
    put_forward(dao, range(GROUP + 1, 2 * GROUP + 1))
    [first] = runs(dao)
    queue.look_after()
    assert dao.runs.claim("me", clock(), clock() + LEASE * SECOND).run_id == first.run_id
    queue.look_after()
    version = model_version(first.run_id)
    assert dao.runs.finish(first.run_id, "me", RunState.SUCCEEDED, "better", version, clock())
    queue.settle(first.run_id)
    queue.look_after()
    assert len(runs(dao)) == 1
    Promoter(dao, promoting(dao, clock)).look_after()
    queue.look_after()
    begun = {run.settings.base_model for run in runs(dao)}
    assert begun == {DEFAULTS.base_model, version.model_version_id}


def test_r15_two_workers_that_look_at_once_begin_one_run(dao: ClickstreamDao, clock: Clock, monkeypatch: Any) -> None:
    """R15: the one that comes second to the store puts its sessions back as they were; they are in the next run."""
    monkeypatch.setattr(limits, "IMPROVEMENT_GROUP", GROUP)
    put_forward(dao, range(GROUP + 1, 2 * GROUP + 1))
    clock.forward(1)
    before = dao.improvement.get("s-1")
    take = dao.improvement.take

    def after_another(*arguments: Any) -> int:
        others = [f"s-{number}" for number in range(GROUP + 1, 2 * GROUP + 1)]
        take(others, "improve-other", clock(), clock() + LEASE * SECOND)
        dao.runs.create(
            TrainingRun("improve-other", (), DEFAULTS, b"", RunState.QUEUED, clock(), from_improvement_queue=True)
        )
        return take(*arguments)

    monkeypatch.setattr(dao.improvement, "take", after_another)
    improvement(dao, clock).look_after()
    [run] = runs(dao)
    found = states(dao)
    assert {found[f"s-{number}"] for number in range(1, GROUP + 1)} == {"pending"}
    assert {found[f"s-{number}"] for number in range(GROUP + 1, 2 * GROUP + 1)} == {"processing"}
    assert dao.improvement.get("s-1") == replace(before, updated_at=clock())
    assert dao.runs.open_improvement_run() == run.run_id


def test_r15_a_group_that_another_worker_is_taking_is_left_to_it(dao: ClickstreamDao, clock: Clock) -> None:
    """R15: between the first of its sessions and the rest nobody else takes any of them."""
    put_forward(dao, range(GROUP + 1, 2 * GROUP + 1))
    clock.forward(1)
    dao.improvement.take(["s-1"], "improve-other", clock(), clock() + LEASE * SECOND)
    improvement(dao, clock).look_after()
    assert runs(dao) == []
    assert list(states(dao).values()) == ["processing"] + ["pending"] * (2 * GROUP - 1)


def test_r15_the_next_group_is_trained_by_itself(memory_dao: MemoryDao, clock: Clock) -> None:
    """R15: what waited behind a run is trained when that is over, with nobody's help."""
    memory_dao.sessions.append(session_drafts(2 * GROUP))
    memory_dao.events.append([push(f"s-{number}", "e-1") for number in range(1, 2 * GROUP + 1)])
    put_forward(memory_dao, range(1, 2 * GROUP + 1))
    clock.forward(1)
    fine_tune = Module()

    async def both_trained() -> None:
        await until(lambda: set(states(memory_dao).values()) == {"done"})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "IMPROVEMENT_GROUP", GROUP)
        play((memory_dao, fine_tune, clock), scenario=both_trained)
    assert [len(call) for call in fine_tune.calls] == [GROUP, GROUP]
