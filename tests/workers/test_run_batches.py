"""The worker of training runs: how runs share batches (R10, R16)."""

import threading
from typing import Any

import pytest
from support.builders import NOW, SECOND, model_version, training_run
from support.made_up import LEASE, Module, ended, play, raising, state, statuses
from support.memory_store import MemoryDao
from support.serving import PATIENCE, Clock, until

from clickstream.domain.batches import BatchStatus
from clickstream.domain.runs import RunState
from clickstream.workers import run_worker as module


def train_elsewhere(dao: MemoryDao, batch: int) -> None:
    """Lets the run `other` of a worker elsewhere train a batch."""
    dao.runs.create(training_run("other", (batch,)))
    dao._state.held["other"] = (NOW + 999 * SECOND, "elsewhere")
    released = frozenset({BatchStatus.RELEASED})
    dao.batches.change_status(batch, released, BatchStatus.TRAINING, run_id="other", reason="", at=NOW)


def test_r16_a_run_after_a_failed_one_trains_the_same_batch(dao: MemoryDao, clock: Clock) -> None:
    """R10: a failed batch can be trained again by the next run."""
    play((dao, Module(raising(RuntimeError("boom"))), clock), scenario=ended(dao))
    dao.runs.create(training_run("run-2"))
    play((dao, Module(lambda: model_version("run-2")), clock), scenario=ended(dao, "run-2"))
    assert statuses(dao) == ["released", "training", "failed", "training", "trained"]


def test_r10_a_run_waits_for_a_busy_batch(dao: MemoryDao, clock: Clock) -> None:
    """R10, R16: runs over one batch train one after the other; waiting says for whom, and is no attempt."""
    train_elsewhere(dao, 1)

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


def test_r10_a_run_that_waits_for_one_batch_takes_no_other(dao: MemoryDao, clock: Clock) -> None:
    """R10, R16: a run over two batches of which one is busy leaves the other as it was, also when it is cancelled."""
    train_elsewhere(dao, 2)
    dao.runs.request_cancel("run-1", NOW)
    before = dao.batches.get(1)
    dao.runs.create(training_run("both", batches=(1, 2)))

    async def scenario() -> None:
        await until(lambda: "waits for run other on batch-2" in dao.runs.get("both").reason)
        assert dao.batches.get(1) == before
        dao.runs.request_cancel("both", NOW)
        clock.forward(module.RETRY_SECONDS)
        await ended(dao, "both")()

    play((dao, Module(), clock), scenario=scenario)
    assert state(dao, "both") is RunState.CANCELED
    assert dao.batches.get(1) == before


def test_r10_a_batch_that_comes_free_at_the_wrong_moment_is_tried_again(
    dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R10, R16: a run that could not take a batch, which nobody holds any more when it asks why, waits and trains."""
    change, refused = dao.batches.change_status, []

    def once_refused(*arguments: Any, **named: Any) -> Any:
        if not refused:
            return refused.append(named["run_id"])
        return change(*arguments, **named)

    monkeypatch.setattr(dao.batches, "change_status", once_refused)

    async def scenario() -> None:
        await until(lambda: "batch-1 changed" in dao.runs.get("run-1").reason)
        clock.forward(module.RETRY_SECONDS)
        await ended(dao)()

    play((dao, Module(), clock), scenario=scenario)
    assert (state(dao), dao.runs.get("run-1").attempts) == (RunState.SUCCEEDED, 1)


def test_r10_a_waiting_run_that_is_canceled_lets_go_of_its_batches(
    dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R10, R16: a run whose second batch another took while it took the first frees the first when it is cancelled."""
    change = dao.batches.change_status

    def late(sequence: int, *arguments: Any, **named: Any) -> Any:
        if named["run_id"] == "both" and not dao.runs.get("other"):
            train_elsewhere(dao, 2)
        return change(sequence, *arguments, **named)

    monkeypatch.setattr(dao.batches, "change_status", late)
    dao.runs.request_cancel("run-1", NOW)
    dao.runs.create(training_run("both", batches=(1, 2)))

    async def scenario() -> None:
        await until(lambda: "waits" in dao.runs.get("both").reason)
        assert dao.batches.get(1).status is BatchStatus.TRAINING
        assert dao.runs.request_cancel("both", NOW).state is RunState.CANCELED
        await until(lambda: dao.batches.get(1).status is BatchStatus.FAILED)

    play((dao, Module(), clock), scenario=scenario)
    assert dao.batches.get(2).run_id == "other"


def test_r10_runs_that_share_batches_never_wait_for_each_other(dao: MemoryDao, clock: Clock) -> None:
    """R10, R16: a run that names its batches in another order than the one that has begun holds none in vain."""
    train_elsewhere(dao, 1)
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


def test_r16_a_batch_that_does_not_exist_fails_the_run(dao: MemoryDao, clock: Clock) -> None:
    """R16: a run over a batch that a restored database no longer has ends, and says that the batch does not exist."""
    dao.runs.create(training_run("ghost", batches=(2, 9)))
    play((dao, Module(), clock), scenario=ended(dao, "ghost"))
    assert (state(dao, "ghost"), dao.runs.get("ghost").reason) == (RunState.FAILED, "batch-9 does not exist")
    assert statuses(dao, 2) == ["released"]


def test_r10_a_run_that_cannot_begin_leaves_its_batches_as_they_were(dao: MemoryDao, clock: Clock) -> None:
    """R10: a run of which one batch is archived fails, and what was trained before it stays so."""
    play((dao, Module(), clock), scenario=ended(dao))
    trained = dao.batches.get(1)
    assert (trained.status, trained.run_id) == (BatchStatus.TRAINED, "run-1")
    released = frozenset({BatchStatus.RELEASED})
    dao.batches.change_status(2, released, BatchStatus.ARCHIVED, run_id="", reason="", at=NOW)
    dao.runs.create(training_run("both", batches=(1, 2)))
    play((dao, Module(), clock), scenario=ended(dao, "both"))
    assert (state(dao, "both"), dao.runs.get("both").reason) == (RunState.FAILED, "batch-2 is archived")
    assert dao.batches.get(1) == trained


def test_r16_a_worker_that_stalled_leaves_no_batch_in_training(
    dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R10, R16: one that slept between claiming a run and beginning its batches begins them after the run's end.

    Another worker has ended them by then; they are taken out of training again, and the next run trains them.
    """
    change, asleep, goes_on = dao.batches.change_status, threading.Event(), threading.Event()

    def sleeping(*arguments: Any, **named: Any) -> Any:
        if not asleep.is_set():
            asleep.set()
            assert goes_on.wait(PATIENCE)
        return change(*arguments, **named)

    monkeypatch.setattr(dao.batches, "change_status", sleeping)

    async def scenario() -> None:
        await until(asleep.is_set)
        clock.forward(LEASE)
        await ended(dao)()
        assert statuses(dao) == ["released", "training", "trained"]
        goes_on.set()
        await until(lambda: len(statuses(dao)) == 5)
        assert statuses(dao)[3:] == ["training", "trained"]
        dao.runs.create(training_run("run-2"))
        await ended(dao, "run-2")()

    modules = Module(), Module(lambda: model_version(dao.batches.get(1).run_id))
    play((dao, modules[0], clock), (dao, modules[1], clock), scenario=scenario)
    assert state(dao, "run-2") is RunState.SUCCEEDED
    assert dao.batches.get(1).history[4].reason == "freed: run run-1 has succeeded"
