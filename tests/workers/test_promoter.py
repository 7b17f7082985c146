"""Automatic promotion (R17)."""

from dataclasses import replace

import pytest
from support.builders import NOW, SECOND, model_version, training_run
from support.made_up import Module, ended, play, promoting, raising
from support.memory_store import MemoryDao
from support.servers import Clock, until

from clickstream.domain.errors import FailedPrecondition, Reason, ResourceExhausted, Unavailable
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
        Promoter(dao, promoting(dao, clock)).run_once()
    assert promoted(dao) == ["model-run-1"]
    assert dao.runs.promotion_due() is None


@pytest.fixture
def passed(dao: MemoryDao) -> MemoryDao:
    """A store with a version that passed its gate."""
    dao.runs.claim("me", NOW, NOW + 99 * SECOND)
    dao.runs.finish("run-1", "me", RunState.SUCCEEDED, "well", model_version("run-1"), NOW)
    return dao


@pytest.mark.parametrize(
    "error",
    [
        Unavailable(Reason.TRAINER_UNAVAILABLE, "connection refused"),
        Unavailable(Reason.STORE_UNAVAILABLE, "no primary"),
        ResourceExhausted(Reason.EMBED_QUEUE_FULL, "too many wait"),
    ],
    ids=lambda error: f"{error.reason}",
)
def test_r16_a_promotion_waits_for_a_trainer_that_is_away(passed: MemoryDao, clock: Clock, error: Exception) -> None:
    """R16: as long as the trainer or the store is away or busy, the decision is open; later it is made."""
    for _ in range(2):
        with pytest.raises(type(error)):
            Promoter(passed, lambda *_: raising(error)()).run_once()
    assert (promoted(passed), passed.runs.promotion_due()) == ([], model_version("run-1"))
    Promoter(passed, promoting(passed, clock)).run_once()
    assert promoted(passed) == ["model-run-1"]


@pytest.mark.parametrize(
    "error",
    [FailedPrecondition(Reason.STATE_CONFLICT, "model-run-1 cannot be loaded"), RuntimeError("cannot be loaded")],
    ids=["refused", "defect"],
)
def test_r17_what_cannot_be_loaded_is_not_promoted_by_itself(
    passed: MemoryDao, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """R17: a version that the trainer cannot load is decided about once; the log says why it does not serve."""
    Promoter(passed, lambda *_: raising(error)()).run_once()
    assert (promoted(passed), passed.runs.promotion_due()) == ([], None)
    assert "model-run-1 is not promoted automatically" in caplog.text
    assert "cannot be loaded" in caplog.text


@pytest.mark.parametrize(
    ("gate_passed", "promotes", "reason"),
    [
        (True, True, "nDCG@10 rose"),
        (False, False, "nDCG@10 rose"),
        (True, False, "nDCG@10 rose; passed its gate, not promoted: promote it with PromoteModel"),
    ],
)
def test_r17_a_run_says_that_its_version_waits_for_a_person(
    dao: MemoryDao, clock: Clock, gate_passed: bool, promotes: bool, reason: str
) -> None:
    """R17: the run's reason says that a version that passed its gate is not promoted, and how to promote it."""
    module = Module(lambda: replace(model_version(), gate_passed=gate_passed))
    play((dao, module, clock), scenario=ended(dao), promotes=promotes)
    assert dao.runs.get("run-1").reason == reason


def test_r17_where_people_promote_workers_promote_nothing(
    passed: MemoryDao, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """R17: with automatic promotion off a better version waits for PromoteModel, also when it is on again later."""
    caplog.set_level("INFO")
    for promote in (None, promoting(passed, clock)):
        Promoter(passed, promote).run_once()
    assert (promoted(passed), passed.runs.promotion_due()) == ([], None)
    assert "model-run-1 passed its gate; not promoted: promote it with PromoteModel" in caplog.text
