"""Every query that the DAOs send is served by an index: the real commands are recorded and explained."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pymongo import MongoClient, monitoring
from pymongo.database import Database
from support.builders import (
    NOW,
    SECOND,
    model_version,
    push,
    session_draft,
    session_drafts,
    stored_session,
    training_run,
)

from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.interface.analytics import DayHead, RangeHead, RollUpState
from clickstream.dao.interface.refusals import RefusalKey
from clickstream.dao.interface.robots import VerdictFilter
from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain import limits
from clickstream.domain.batches import BatchStatus
from clickstream.domain.improvement import ImprovementState, TaskOutcome
from clickstream.domain.promotions import PromotionOrder
from clickstream.domain.robots import RobotVerdict
from clickstream.domain.runs import CurvePoint, Phase, RunState, TrainingProgress
from clickstream.domain.training_inputs import ConversionSummary

QUERYING = {"find", "findAndModify", "update", "delete", "aggregate", "count", "distinct"}
EXPLAINED = {"filter", "sort", "projection", "limit", "query", "update", "updates", "fields", "new", "upsert"}
EXPLAINED |= {"pipeline", "cursor", "deletes"}
BATCHES, SESSIONS, EVENTS = 3, 40, 5
ROWS = BATCHES * SESSIONS * EVENTS


class Recorder(monitoring.CommandListener):
    """Records the commands that search for documents."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, Document]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        name = event.command_name
        if name in QUERYING:
            kept = {key: event.command[key] for key in event.command if key == name or key in EXPLAINED}
            self.commands.append((name, kept))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


def fill(dao: MongoDao) -> None:
    """Enough documents that a scan would show."""
    for batch in range(1, BATCHES + 1):
        dao.sessions.append(session_drafts(SESSIONS, f"b{batch}"))
        pushes = [
            push(f"b{batch}-{number}", *(f"e-{event}" for event in range(EVENTS))) for number in range(1, SESSIONS + 1)
        ]
        dao.events.append(pushes)
        dao.batches.release(f"r-{batch}", None, NOW)
    for number in range(SESSIONS):
        dao.improvement.queue(stored_session(f"b1-{number}", 1, number), NOW + number * SECOND)
        dao.runs.create(training_run(f"run-{number}", at=NOW + number * SECOND))


def use_sessions_events_and_batches(dao: MongoDao) -> None:
    """Calls every method of these DAOs that sends a query."""
    dao.sessions.append([session_draft("b2-7"), session_draft("new"), session_draft("b3-8")])
    dao.sessions.get("b2-7")
    for irrelevant in (True, False):
        dao.sessions.page(2, 10, 5, include_irrelevant=irrelevant)
    dao.sessions.mark_irrelevant("b2-7", NOW)
    dao.events.append([push("b2-7", "e-1", "new"), push("b3-9", "e-1", "e-4")])
    dao.events.of_sessions(2, 5, 6)
    dao.events.of_sessions(2, 5, 6, 3)
    dao.events.has_any(2, 5)
    dao.events.frozen(2, 5, 8)
    dao.events.frozen(2, 5, 8)
    dao.events.frozen(2, 5, 5, "improve-1")
    dao.sessions.restore("b2-7")
    dao.batches.collecting()
    dao.batches.get(2)
    dao.batches.get(99)
    for before in (None, 3):
        dao.batches.list(before, 2, frozenset())
        dao.batches.list(before, 2, frozenset({BatchStatus.RELEASED, BatchStatus.TRAINED}))
    dao.batches.release("r-2", None, NOW)
    dao.batches.release("r-4", None, NOW)
    for _ in range(2):
        dao.batches.change_status(2, {BatchStatus.RELEASED}, BatchStatus.TRAINING, run_id="run-1", reason="", at=NOW)
    dao.batches.change_status(2, {BatchStatus.TRAINING}, BatchStatus.TRAINED, run_id="run-1", reason="", at=NOW)
    dao.batches.archive(NOW + SECOND, "", NOW, leaving={2})
    dao.batches.archive(NOW + SECOND, "", NOW, leaving=frozenset())


def use_queues(dao: MongoDao) -> None:
    """Calls every method of the queues that sends a query."""
    dao.improvement.queue(stored_session("b1-3"), NOW)
    dao.improvement.cancel("b1-3", NOW)
    dao.improvement.counts()
    dao.improvement.waiting(NOW + 30 * SECOND, 7)
    tasks = list(dao.improvement.due(NOW + 30 * SECOND, 7))
    dao.improvement.take(tasks, "improve-1", NOW, NOW + 20 * SECOND)
    position = (NOW + 5 * SECOND, "b1-5")
    for after in (None, position):
        dao.improvement.list(after, 3, frozenset())
        dao.improvement.list(after, 3, frozenset(), "improve-1")
        for states in ({ImprovementState.PENDING, ImprovementState.DONE}, {ImprovementState.PROCESSING}):
            dao.improvement.list(after, 3, frozenset(states))
            dao.improvement.list(after, 3, frozenset(states), "improve-1")
    dao.improvement.expired_run(NOW + 20 * SECOND)
    dao.changes.next_due(NOW + 10 * SECOND)
    dao.improvement.renew_lease("improve-1", NOW + 40 * SECOND)
    dao.improvement.settle("improve-1", tasks[:3], TaskOutcome(ImprovementState.DONE, "", "model-1"), NOW)
    dao.improvement.put_back("improve-1", NOW + 50 * SECOND, NOW + 50 * SECOND)
    for before in (None, (NOW + 5 * SECOND, "run-5")):
        dao.runs.counts()
        dao.runs.list(before, 3, frozenset())
        dao.runs.list(before, 3, frozenset({RunState.QUEUED, RunState.RUNNING}))
    claimed = dao.runs.claim("me", NOW + 10 * SECOND, NOW + 20 * SECOND)
    assert claimed is not None
    logged = TrainingProgress(Phase.TRAINING, step=3, points=(CurvePoint(3, NOW, 0.5, 1e-4),))
    dao.runs.renew(claimed.run_id, "me", NOW + 30 * SECOND, logged)
    dao.runs.lease(claimed.run_id)
    dao.runs.curve(claimed.run_id)
    dao.runs.batches_in_use()
    dao.runs.set_conversion(claimed.run_id, "me", ConversionSummary("test-1"))
    dao.runs.give_back(claimed.run_id, "me", RunState.RUNNING, "", NOW, 1)
    claimed = dao.runs.claim("me", NOW + 10 * SECOND, NOW + 20 * SECOND)
    dao.runs.finish(claimed.run_id, "me", RunState.SUCCEEDED, "", model_version(claimed.run_id), NOW)
    dao.runs.request_cancel("run-7", NOW)
    dao.runs.create(replace(training_run("improve-1"), from_improvement_queue=True))
    dao.runs.open_improvement_run()
    dao.judgements.keep("f00d", b"judged")
    dao.judgements.get("f00d")


def use_models(dao: MongoDao) -> None:
    """Calls every method about model versions and promotions that sends a query."""
    due = dao.runs.promotion_due()
    assert due is not None
    dao.runs.promotion_decided(due.run_id)
    dao.runs.model_version(due.model_version_id)
    for before in (None, (NOW, "run-2")):
        dao.runs.of_batch(1, before, 3)
        for gate_passed_only in (False, True):
            dao.runs.model_versions(before, 3, gate_passed_only=gate_passed_only)
    for number in range(SESSIONS):
        dao.promotions.append(PromotionOrder(f"p-{number}", f"m-{number}"), NOW)
    dao.promotions.append(PromotionOrder("p-1", "m-1"), NOW)
    dao.promotions.append(PromotionOrder("back"), NOW)
    for number in (None, 5):
        dao.promotions.list(number, 3)


def use_roll_ups(dao: MongoDao) -> None:
    """Calls every method of roll-ups that sends a query."""
    roll_ups = dao.analytics
    for key in roll_ups.all_ranges():
        list(roll_ups.events(key))
        for version in (1, 2):
            roll_ups.replace_range(RangeHead(key, version, (key.batch, 20_000), "rules"), {"searches": b"one"})
    heads = roll_ups.range_heads((1, 2)) + roll_ups.range_heads()
    roll_ups.range_head(heads[0].key)
    roll_ups.batch_heads(2)
    list(roll_ups.range_frames(heads, "searches"))
    for day in range(30):
        roll_ups.replace_day(DayHead(day, 1, "digest"), {"searches": b"one"})
    roll_ups.day_heads()
    [head] = roll_ups.day_heads((3, 3))
    roll_ups.day_frame(head, "searches")
    roll_ups.take_lease("me", NOW, NOW + SECOND)
    roll_ups.set_state(RollUpState(None, NOW, "rules"), "me")
    roll_ups.state()
    roll_ups.free_since()
    roll_ups.release_lease("me", NOW)


def use_robots_and_refusals(dao: MongoDao) -> None:
    """Calls every method of robot verdicts and refusals that sends a query."""
    verdicts = [RobotVerdict(f"u-{number}", number // 3, True, "policy", NOW, "robots-1") for number in range(90)]
    assert dao.robots.append(verdicts, 0)
    assert not dao.robots.append(verdicts[:1], 3)
    order = RobotVerdict("u-1", 7, False, "ann", NOW, request_id="r-1")
    undo = RobotVerdict("", 0, False, "ann", NOW, undoes_all=True, request_id="r-2")
    for each in (order, order, undo):
        dao.robots.order(each)
    dao.robots.append(verdicts, dao.robots.newest())
    number = dao.robots.newest()
    for wanted in (VerdictFilter(), VerdictFilter("u-1"), VerdictFilter(day=7), VerdictFilter("u-1", 7)):
        for before in (None, number):
            dao.robots.list(wanted, before, 3)
    dao.robots.of_days((3, 4), number)
    dao.robots.of_users({"u-1", "u-2"}, number)
    dao.robots.set_judged(3, "stamp")
    dao.robots.judged(3)
    hours = [NOW + 3_600 * hour * SECOND for hour in range(30)]
    for hour in hours:  # one at a time: only single writes can be explained
        dao.refusals.add({RefusalKey(hour, "INVALID_FIELD", "web"): 1})
    dao.refusals.of(hours[3], hours[5])


def stages(plan: Any) -> Iterator[str]:
    """The names of all stages of a plan."""
    if isinstance(plan, dict):
        if "stage" in plan:
            yield plan["stage"]
        for value in plan.values():
            yield from stages(value)
    elif isinstance(plan, list):
        for value in plan:
            yield from stages(value)


def test_every_query_is_served_by_an_index(
    mongod: EmbeddedMongo, database: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R11: no query of any DAO method scans a collection, sorts in memory or reads far more than it returns."""
    fill(MongoDao(database))
    recorder = Recorder()
    with MongoClient[Document](mongod.uri, event_listeners=[recorder], tz_aware=True) as client:
        dao = MongoDao(client[database.name])
        use_sessions_events_and_batches(dao)
        monkeypatch.setattr(limits, "LISTED_EVENTS", EVENTS - 1)
        dao.events.of_sessions(3, 5, 6)
        use_queues(dao)
        use_models(dao)
        use_roll_ups(dao)
        use_robots_and_refusals(dao)
    assert {name for name, _ in recorder.commands} == {"find", "findAndModify", "update", "delete", "aggregate"}
    queried = {command[name] for name, command in recorder.commands}
    assert queried | {"clickstream_meta"} == set(database.list_collection_names())
    for name, command in recorder.commands:
        explained = database.command("explain", command, verbosity="executionStats")
        planned = explained["stages"][0]["$cursor"] if "stages" in explained else explained
        found = set(stages(planned["queryPlanner"]["winningPlan"]))
        assert not found & {"COLLSCAN", "SORT"}, (found, command)
        if name == "find":
            statistics = explained["executionStats"]
            # A range read of a clustered collection looks at its two neighbours, too.
            assert statistics["totalDocsExamined"] <= statistics["nReturned"] + 10, (statistics, command)
