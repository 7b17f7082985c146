"""What every store promises about training runs."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from support.builders import NOW, SECOND, model_version, training_run
from support.serving import PATIENCE

from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.runs import Phase, RunState, TrainingProgress
from clickstream.domain.training_inputs import ConversionSummary

NONE: frozenset = frozenset()


def claim(dao: ClickstreamDao, owner: str, after: float = 0, lease: float = 10):
    """Claims at `after` seconds past NOW, for `lease` seconds."""
    return dao.runs.claim(owner, NOW + after * SECOND, NOW + (after + lease) * SECOND)


def test_r16_a_run_is_queued_once(dao: ClickstreamDao) -> None:
    """R1, R16: the run id is taken once; what was queued comes back whole."""
    run = training_run("run-1", batches=(2, 1), judgements_sha256="f00d")
    assert dao.runs.create(run) == (run, True)
    assert dao.runs.create(training_run("run-1", batches=(3,))) == (run, False)
    assert dao.runs.get("run-1") == run
    assert dao.runs.get("run-2") is None


def test_r16_runs_are_listed_newest_first(dao: ClickstreamDao) -> None:
    """R16: a listing goes by time, then id, both downwards, and goes on after any row."""
    rows = [("c", 0), ("a", 1), ("b", 1), ("d", 2)]
    for run_id, at in rows:
        dao.runs.create(training_run(run_id, at=NOW + at * SECOND))
    dao.runs.request_cancel("b", NOW)
    everything = dao.runs.list(None, 10, NONE)
    assert [run.run_id for run in everything] == ["d", "b", "a", "c"]
    for index, run in enumerate(everything):
        assert dao.runs.list((run.queued_at, run.run_id), 2, NONE) == everything[index + 1 : index + 3]
    assert [run.run_id for run in dao.runs.list(None, 10, frozenset({RunState.CANCELED}))] == ["b"]


def test_r16_the_run_that_waits_longest_is_claimed_first(dao: ClickstreamDao) -> None:
    """R16: each claim takes another run, the oldest first, and none when all are held."""
    for run_id, at in (("new", 2), ("old", 1), ("future", 60)):
        dao.runs.create(training_run(run_id, at=NOW + at * SECOND))
    claimed = claim(dao, "me", after=5)
    assert (claimed.run_id, claimed.state, claimed.attempts) == ("old", RunState.RUNNING, 1)
    assert claimed.started_at == NOW + 5 * SECOND
    assert claim(dao, "you", after=5).run_id == "new"
    assert claim(dao, "them", after=5) is None


def test_r16_a_run_is_claimed_by_one_of_many(dao: ClickstreamDao) -> None:
    """R16: of workers that claim at the same time exactly one gets each run."""
    for number in range(3):
        dao.runs.create(training_run(f"run-{number}"))
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda owner: claim(dao, f"worker-{owner}"), range(8)))
    assert Counter(run.run_id for run in claimed if run) == Counter({"run-0": 1, "run-1": 1, "run-2": 1})


def test_r10_the_batches_in_use_are_those_of_runs_that_have_not_ended(dao: ClickstreamDao) -> None:
    """R10, R16: a run uses its batches from the moment that it is queued until it has ended, well or not."""
    assert dao.runs.batches_in_use() == NONE
    dao.runs.create(training_run("first", (1, 2)))
    dao.runs.create(training_run("second", (2, 3), at=NOW + SECOND))
    claim(dao, "me")
    assert dao.runs.batches_in_use() == {1, 2, 3}
    dao.runs.finish("first", "me", RunState.SUCCEEDED, "", model_version("first"), NOW)
    assert dao.runs.batches_in_use() == {2, 3}
    dao.runs.request_cancel("second", NOW)
    assert dao.runs.batches_in_use() == NONE


def test_r16_an_expired_lease_lets_the_next_worker_in(dao: ClickstreamDao) -> None:
    """R16: a dead worker's run is taken up when its lease ends, not before; the dead one can do nothing more."""
    dao.runs.create(training_run())
    first = claim(dao, "dead", lease=10)
    assert claim(dao, "next", after=9.9) is None
    second = claim(dao, "next", after=10)
    assert (second.attempts, second.started_at) == (2, first.started_at)
    assert dao.runs.renew("run-1", "dead", NOW + 99 * SECOND, None) is None
    dao.runs.set_conversion("run-1", "dead", ConversionSummary("x"))
    dao.runs.give_back("run-1", "dead", RunState.QUEUED, "x", NOW, 0)
    assert not dao.runs.finish("run-1", "dead", RunState.FAILED, "x", None, NOW)
    assert dao.runs.get("run-1") == second
    assert claim(dao, "third", after=15) is None


def test_r16_a_renewed_lease_holds_and_shows_progress(dao: ClickstreamDao) -> None:
    """R16: renewing moves the lease's end, stores progress, and keeps the last progress when there is none."""
    dao.runs.create(training_run())
    claim(dao, "me", lease=10)
    progress = TrainingProgress(Phase.TRAINING, input_count=7, step=3, step_count=9, loss=0.5)
    assert dao.runs.renew("run-1", "me", NOW + 20 * SECOND, progress).progress == progress
    assert dao.runs.renew("run-1", "me", NOW + 30 * SECOND, None).progress == progress
    assert claim(dao, "you", after=29) is None
    assert claim(dao, "you", after=30) is not None


def test_r16_the_lease_of_a_run_is_there_to_see(dao: ClickstreamDao) -> None:
    """R16: it names who holds the run now and until when, and nobody while none does."""
    dao.runs.create(training_run())
    assert dao.runs.lease("run-1") is None
    claim(dao, "dead", lease=10)
    assert dao.runs.lease("run-1") == ("dead", NOW + 10 * SECOND)
    dao.runs.renew("run-1", "dead", NOW + 20 * SECOND, None)
    claim(dao, "me", after=20)
    assert dao.runs.lease("run-1") == ("me", NOW + 30 * SECOND)
    dao.runs.give_back("run-1", "me", RunState.RUNNING, "stopped", NOW, 0)
    assert dao.runs.lease("run-1") is None
    claim(dao, "me")
    dao.runs.finish("run-1", "me", RunState.FAILED, "", None, NOW)
    assert dao.runs.lease("run-1") is None
    assert dao.runs.lease("run-2") is None


def test_r16_a_run_that_was_given_back_waits_and_is_taken_again(dao: ClickstreamDao) -> None:
    """R16: a run given back shows why, is nobody's, and can be claimed from the given time on."""
    dao.runs.create(training_run())
    claim(dao, "me")
    dao.runs.give_back("run-1", "me", RunState.QUEUED, "the trainer is away", NOW + 5 * SECOND, 1)
    waiting = dao.runs.get("run-1")
    assert (waiting.state, waiting.reason, waiting.attempts) == (RunState.QUEUED, "the trainer is away", 1)
    assert dao.runs.renew("run-1", "me", NOW + 99 * SECOND, None) is None
    assert claim(dao, "you", after=4.9) is None
    again = claim(dao, "you", after=5)
    assert (again.state, again.reason, again.attempts) == (RunState.RUNNING, "", 2)


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING])
def test_r16_a_run_that_no_worker_has_is_canceled_at_once(dao: ClickstreamDao, state: RunState) -> None:
    """R16: one that waits for its next attempt, or that a worker gave back as it stopped, ends with the request."""
    dao.runs.create(training_run())
    claim(dao, "me")
    dao.runs.give_back("run-1", "me", state, "the trainer is away", NOW + 300 * SECOND, 1)
    canceled = dao.runs.request_cancel("run-1", NOW + SECOND)
    assert (canceled.state, canceled.reason) == (RunState.CANCELED, "canceled by request")
    assert (canceled.ended_at, canceled.cancel_requested) == (NOW + SECOND, True)
    assert dao.runs.request_cancel("run-1", NOW + 9 * SECOND) == canceled
    assert claim(dao, "you", after=999) is None


def test_r16_a_run_that_a_worker_has_is_asked_to_stop(dao: ClickstreamDao) -> None:
    """R16: it goes on until its worker hears of it; given back instead, it waits for nothing any more."""
    dao.runs.create(training_run())
    claim(dao, "me", lease=10)
    asked = dao.runs.request_cancel("run-1", NOW)
    assert (asked.state, asked.cancel_requested, asked.ended_at) == (RunState.RUNNING, True, None)
    assert dao.runs.renew("run-1", "me", NOW + 10 * SECOND, None).cancel_requested
    dao.runs.give_back("run-1", "me", RunState.QUEUED, "the trainer is away", NOW + 300 * SECOND, 1)
    again = claim(dao, "you", after=0)
    assert (again.run_id, again.cancel_requested) == ("run-1", True)


def test_r16_a_canceled_run_of_the_queue_lets_the_next_one_in(dao: ClickstreamDao) -> None:
    """R16: a run of the improvement queue that is canceled while it waits holds up no other."""
    for run_id in ("improve-1", "improve-2"):
        dao.runs.create(replace(training_run(run_id, batches=()), from_improvement_queue=True))
        claim(dao, "me")
        dao.runs.give_back(run_id, "me", RunState.QUEUED, "the trainer is away", NOW + 300 * SECOND, 1)
        assert dao.runs.request_cancel(run_id, NOW).state is RunState.CANCELED
        assert dao.runs.open_improvement_run() is None


def test_r16_a_run_is_either_canceled_or_taken_up(dao: ClickstreamDao) -> None:
    """R16: of a worker and a cancel at the same moment one comes first, and the worker knows of the cancel then."""
    with ThreadPoolExecutor(2) as pool:
        for number in range(60):
            run_id = f"run-{number}"
            dao.runs.create(training_run(run_id))
            claim(dao, "first")
            dao.runs.give_back(run_id, "first", RunState.QUEUED, "the trainer is away", NOW, 1)
            barrier = threading.Barrier(2)

            def at_once(step: Any, barrier: threading.Barrier = barrier) -> Any:
                barrier.wait(PATIENCE)
                return step()

            claiming = pool.submit(at_once, lambda: claim(dao, "you"))
            pool.submit(at_once, lambda run_id=run_id: dao.runs.request_cancel(run_id, NOW)).result(PATIENCE)
            taken, found = claiming.result(PATIENCE), dao.runs.get(run_id)
            assert found.cancel_requested
            assert found.state is (RunState.CANCELED if taken is None else RunState.RUNNING)
            if taken is not None:
                assert dao.runs.renew(run_id, "you", NOW + SECOND, None).cancel_requested
                assert dao.runs.finish(run_id, "you", RunState.CANCELED, "", None, NOW)


def test_r16_an_ended_run_keeps_its_result(dao: ClickstreamDao) -> None:
    """R16: a run ends once, with reason, time, conversion and model version, and is never claimed again."""
    dao.runs.create(training_run())
    claimed = claim(dao, "me")
    summary = ConversionSummary("test-1", session_count=3, input_count=2)
    summary.skipped_sessions["no_events"] = 1
    summary.graded_events["a.b"] = 4
    summary.unknown_types["$weird"] = 5
    dao.runs.set_conversion("run-1", "me", summary)
    version = model_version()
    assert dao.runs.finish("run-1", "me", RunState.SUCCEEDED, "well", version, NOW + 9 * SECOND)
    ended = dao.runs.get("run-1")
    assert ended == replace(
        claimed,
        state=RunState.SUCCEEDED,
        reason="well",
        conversion=summary,
        model_version=version,
        ended_at=NOW + 9 * SECOND,
    )
    assert not dao.runs.finish("run-1", "me", RunState.FAILED, "again", None, NOW)
    assert claim(dao, "you", after=1_000) is None
    assert dao.runs.request_cancel("run-1", NOW) == ended


def test_r16_a_queued_run_is_canceled_at_once(dao: ClickstreamDao) -> None:
    """R16: a run that never began ends as canceled, with a reason, and is never claimed."""
    dao.runs.create(training_run())
    canceled = dao.runs.request_cancel("run-1", NOW + SECOND)
    assert (canceled.state, canceled.ended_at) == (RunState.CANCELED, NOW + SECOND)
    assert canceled.cancel_requested
    assert canceled.reason
    assert dao.runs.request_cancel("run-1", NOW + 2 * SECOND) == canceled
    assert claim(dao, "me", after=5) is None
    assert dao.runs.request_cancel("run-2", NOW) is None


def test_r16_a_running_run_is_asked_to_stop(dao: ClickstreamDao) -> None:
    """R16: the holder of a running run learns of the cancel by its next renewal; the run goes on until it ends it."""
    dao.runs.create(training_run())
    claim(dao, "me")
    asked = dao.runs.request_cancel("run-1", NOW)
    assert (asked.state, asked.cancel_requested) == (RunState.RUNNING, True)
    assert dao.runs.renew("run-1", "me", NOW + 20 * SECOND, None).cancel_requested


def test_the_store_answers_a_ping(dao: ClickstreamDao) -> None:
    """A store that can take writes says so."""
    dao.ping()
