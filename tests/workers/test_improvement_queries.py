"""Sessions wait until they have enough distinct queries for a run to be measured (R15, R17)."""

import logging

import pytest
from support.builders import NOW, model_version, push, queries, session_draft
from support.made_up import RULES, Module, play, queue
from support.memory_store import MemoryDao
from support.servers import Clock, until

from clickstream.domain import limits
from clickstream.domain.improvement import ImprovementTask
from clickstream.domain.query_split import MIN_HELD_OUT_QUERIES, MIN_TRAINING_QUERIES, Split, normalised
from clickstream.domain.runs import RunState
from clickstream.workers.improvement_queue import MEASURE_PAUSE

# With folds every query measures, and trains in the other folds.
ENOUGH = [f"search {number}" for number in range(MIN_HELD_OUT_QUERIES)]
LEFT = Split.of(ENOUGH[:-1], 42, 0.2, 0).training
SHORT = f"distinct queries: 9 held out and {LEFT} to train on; at least 10 and 4 are needed"


def put_forward(dao: MemoryDao, *asked: str, again: str = "") -> None:
    """Registers a clicked session for each query and queues it; its id is the query, and `again`."""
    for query in asked:
        session_id = query + again
        dao.sessions.append([session_draft(session_id, query=query)])
        dao.events.append([push(session_id, "e-1")])
        dao.improvement.queue(dao.sessions.get(session_id), NOW, normalised(query))


def tasks(dao: MemoryDao) -> list[ImprovementTask]:
    """All tasks."""
    return dao.improvement.list(None, 1_000, frozenset())


@pytest.mark.parametrize("asked", [ENOUGH[:-1], ENOUGH[1:]], ids=["the last is missing", "the first is missing"])
def test_r15_too_few_queries_wait_whatever_their_age_and_number(
    memory_dao: MemoryDao, clock: Clock, asked: list[str]
) -> None:
    """R15, R17: sessions with too few queries keep waiting; with one query more, all of them are trained."""
    for again in ("", " again", " and again"):
        put_forward(memory_dao, *asked, again=again)
    waiting = tasks(memory_dao)
    improvement = queue(memory_dao, clock)
    for seconds in (0, RULES.age.total_seconds(), 86_400):
        clock.forward(seconds)
        improvement.run_once()
    assert memory_dao.runs.list(None, 9, frozenset()) == []
    assert tasks(memory_dao) == waiting
    put_forward(memory_dao, *set(ENOUGH) - set(asked))
    clock.forward(MEASURE_PAUSE.total_seconds())
    improvement.run_once()
    [run] = memory_dao.runs.list(None, 9, frozenset())
    assert {task.run_id for task in tasks(memory_dao)} == {run.run_id}


def test_r15_why_they_wait_is_logged_once(
    memory_dao: MemoryDao, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """R15: the reason is logged with its numbers, and not at every look."""
    put_forward(memory_dao, *ENOUGH[:-1])
    improvement = queue(memory_dao, clock)
    with caplog.at_level(logging.INFO, "clickstream.workers.improvement_queue"):
        for _ in range(3):
            improvement.run_once()
            clock.forward(MEASURE_PAUSE.total_seconds())
    [message] = caplog.messages
    assert message == f"9 sessions of the improvement queue keep waiting: {SHORT}"


def test_r15_queries_are_read_only_when_they_may_matter(
    memory_dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R15: queries are read only when a run is due by count or age, and after too few only after a pause."""
    reads, due = [], memory_dao.improvement.due
    monkeypatch.setattr(memory_dao.improvement, "due", lambda *where: (reads.append(where), due(*where))[1])
    improvement = queue(memory_dao, clock)
    put_forward(memory_dao, *ENOUGH[: RULES.least - 1])
    improvement.run_once()
    assert len(reads) == 0
    put_forward(memory_dao, ENOUGH[-1])
    for _ in range(5):
        improvement.run_once()
    assert len(reads) == 1
    clock.forward(MEASURE_PAUSE.total_seconds())
    improvement.run_once()
    assert len(reads) == 2


def test_r15_a_popular_query_does_not_block_the_queue(
    memory_dao: MemoryDao, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R15: sessions of other queries are trained even if more sessions of one query than fit a run wait first."""
    monkeypatch.setattr(limits, "IMPROVEMENT_GROUP", 20)
    monkeypatch.setattr(limits, "IMPROVEMENT_GROUP_OF_A_QUERY", 2)
    for number in range(25):
        put_forward(memory_dao, ENOUGH[0], again=f" {number:02}")
    clock.forward(1)
    for query in ENOUGH[1:]:
        memory_dao.sessions.append([session_draft(query, query=query)])
        memory_dao.events.append([push(query, "e-1")])
        memory_dao.improvement.queue(memory_dao.sessions.get(query), clock(), normalised(query))
    queue(memory_dao, clock).run_once()
    [run] = memory_dao.runs.list(None, 9, frozenset())
    taken = {task.session_id for task in tasks(memory_dao) if task.run_id == run.run_id}
    assert taken == {f"{ENOUGH[0]} 00", f"{ENOUGH[0]} 01", *ENOUGH[1:]}


def test_r15_refused_sessions_may_leave_too_few_queries(memory_dao: MemoryDao, clock: Clock) -> None:
    """R13, R15, R17: such a run makes no model; sessions that cannot train are refused, and the others wait again."""
    put_forward(memory_dao, *ENOUGH)
    memory_dao.sessions.mark_irrelevant(ENOUGH[-1], NOW)

    async def ended() -> None:
        await until(lambda: {str(task.state) for task in tasks(memory_dao)} == {"refused", "pending"})

    play((memory_dao, Module(model_version), clock), scenario=ended)
    [run] = memory_dao.runs.list(None, 9, frozenset())
    assert (run.state, run.reason, run.model_version) == (RunState.FAILED, SHORT, None)
    assert {task.reason for task in tasks(memory_dao)} == {"irrelevant", SHORT}


def test_r17_a_session_that_measured_does_not_say_that_it_trained(memory_dao: MemoryDao, clock: Clock) -> None:
    """R15, R17: after one split, the reason of a held-out session says that it was measured, not learned from."""
    asked = queries(MIN_HELD_OUT_QUERIES, MIN_TRAINING_QUERIES)
    put_forward(memory_dao, *asked)

    async def done() -> None:
        await until(lambda: {str(task.state) for task in tasks(memory_dao)} == {"done"})

    play((memory_dao, Module(model_version), clock), scenario=done)
    reasons = {task.session_id: task.reason for task in tasks(memory_dao)}
    trained = dict.fromkeys(asked[:MIN_TRAINING_QUERIES], "nDCG@10 rose")
    measured = dict.fromkeys(asked[MIN_TRAINING_QUERIES:], "measured, its query is held out: nDCG@10 rose")
    assert reasons == trained | measured


def test_r15_acts_that_count_for_nothing_measure_nothing(memory_dao: MemoryDao, clock: Clock) -> None:
    """R12, R17: a query whose sessions have no grade above 0 does not count as a query to measure on."""
    put_forward(memory_dao, *ENOUGH[:-1])
    memory_dao.sessions.append([session_draft("ungraded", query=ENOUGH[-1])])
    memory_dao.events.append([push("ungraded", "e-1", type="unknown")])
    memory_dao.improvement.queue(memory_dao.sessions.get("ungraded"), NOW, normalised(ENOUGH[-1]))

    async def ended() -> None:
        await until(lambda: {task.attempts for task in tasks(memory_dao)} == {1})

    play((memory_dao, Module(model_version), clock), scenario=ended)
    assert {str(task.state) for task in tasks(memory_dao)} == {"pending"}
