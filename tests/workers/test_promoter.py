"""Automatic promotion (R17)."""

from dataclasses import replace

import pytest
from support.builders import NOW, SECOND, model_version, training_run
from support.made_up import Module, play
from support.memory_store import MemoryDao
from support.servers import Clock, until

from clickstream.domain.promotions import PromotionOrder
from clickstream.domain.runs import RunState
from clickstream.workers.promoter import Promoter


def promoted(dao: MemoryDao) -> list[str]:
    """The promoted versions, the newest first."""
    return [each.model_version_id for each in dao.promotions.list(None, 100)]


def run_to_its_decision(dao: MemoryDao, clock: Clock, **changes: object) -> None:
    """Trains run-1, whose version has these fields, until its promotion is decided."""

    async def decided() -> None:
        await until(lambda: dao.runs.get("run-1").state is RunState.SUCCEEDED)
        await until(lambda: dao.runs.promotion_due() is None)

    play((dao, Module(lambda: replace(model_version(), **changes)), clock), scenario=decided)


@pytest.mark.parametrize(("before", "parent"), [("", ""), ("", "older"), ("parent", "parent")])
def test_r17_an_improvement_over_what_serves_is_promoted(
    dao: MemoryDao, clock: Clock, before: str, parent: str
) -> None:
    """R17: a version that passed its gate is promoted if its parent, or no version, is promoted."""
    if before:
        dao.promotions.append(PromotionOrder("p-1", before), NOW)
    run_to_its_decision(dao, clock, parent_model_version_id=parent)
    assert promoted(dao)[0] == "model-run-1"
    assert dao.promotions.current().reason == "nDCG@10 rose"


@pytest.mark.parametrize("changes", [{"gate_passed": False}, {}, {"parent_model_version_id": "another"}])
def test_r17_nothing_else_is_promoted_automatically(dao: MemoryDao, clock: Clock, changes: dict[str, object]) -> None:
    """R17: a version that failed its gate, or that was not measured against the promoted one, is not promoted."""
    dao.promotions.append(PromotionOrder("p-1", "serving"), NOW)
    run_to_its_decision(dao, clock, **changes)
    assert promoted(dao) == ["serving"]


def test_r16_a_promotion_outlives_the_worker_that_ended_the_run(dao: MemoryDao, clock: Clock) -> None:
    """R16: if a worker dies before or after promoting a version, another decides, and the version is promoted once."""
    dao.runs.create(training_run("run-9", batches=(9,)))
    for _ in ("run-1", "run-9"):
        dao.runs.claim("dead", NOW, NOW + 99 * SECOND)
    for run_id in ("run-1", "run-9"):
        dao.runs.finish(run_id, "dead", RunState.SUCCEEDED, "well", model_version(run_id), NOW)
    dao.promotions.append(PromotionOrder("run run-1", "model-run-1", frozenset({""}), reason="nDCG@10 rose"), NOW)
    for _ in range(3):
        Promoter(dao, clock, automatic=True).run_once()
    assert promoted(dao) == ["model-run-1"]
    assert dao.runs.promotion_due() is None


def test_r17_where_people_promote_nothing_is_promoted_automatically(dao: MemoryDao, clock: Clock) -> None:
    """R17: a version made while automatic promotion was off waits for PromoteModel, also after it is on again."""
    dao.runs.claim("me", NOW, NOW + 99 * SECOND)
    dao.runs.finish("run-1", "me", RunState.SUCCEEDED, "well", model_version("run-1"), NOW)
    for automatic in (False, True):
        Promoter(dao, clock, automatic=automatic).run_once()
    assert promoted(dao) == []
    assert dao.runs.promotion_due() is None
