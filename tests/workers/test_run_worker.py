"""The worker of training runs: how a run ends (R10, R16)."""

import pytest
from support.builders import NOW, model_version, training_run
from support.made_up import REPORT, Endless, Module, ended, play, raising, state, statuses
from support.memory_store import MemoryDao
from support.serving import Clock, until

from clickstream.domain.errors import FailedPrecondition, Reason
from clickstream.domain.judgements import JudgedQuery, packed
from clickstream.domain.runs import RunState


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
        (FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, "too few queries"), "too few queries"),
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


def test_r18_a_runs_judgements_go_to_the_module(dao: MemoryDao, clock: Clock) -> None:
    """R18: the module gets the judgements that the run names; a run whose judgements are gone says so."""
    judged = [JudgedQuery("red shoe", {"a": 1})]
    sha256, content = packed(judged)
    dao.judgements.keep(sha256, content)
    dao.runs.request_cancel("run-1", NOW)
    dao.runs.create(training_run("run-2", batches=(1,), judgements_sha256=sha256))
    fine_tune = Module(lambda: model_version("run-2"))
    play((dao, fine_tune, clock), scenario=ended(dao, "run-2"))
    assert (state(dao, "run-2"), fine_tune.judged) == (RunState.SUCCEEDED, judged)
    dao.runs.create(training_run("run-3", batches=(2,), judgements_sha256="dead"))
    play((dao, Module(), clock), scenario=ended(dao, "run-3"))
    assert (state(dao, "run-3"), dao.runs.get("run-3").reason) == (RunState.FAILED, "the judgements dead are gone")
