"""The parts of a worker process follow its settings, over a real MongoDB."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from support.builders import NOW, SECOND, model_version, push, queries, session_draft, session_drafts, training_run
from support.servers import POLICY, InProcessServer, until

from clickstream.app.settings import Settings
from clickstream.app.worker import working
from clickstream.conversion.reader import InputReader
from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.batches import BatchStatus
from clickstream.domain.improvement import ImprovementState
from clickstream.domain.promotions import PromotionOrder
from clickstream.domain.query_split import MIN_HELD_OUT_QUERIES, MIN_TRAINING_QUERIES
from clickstream.domain.runs import RunState
from clickstream.models.embedding_queue import Embedder
from clickstream.trainer_client.channel import TrainerAddress
from clickstream.workers import run_worker
from clickstream.workers import wake_signal as module
from clickstream.workers.wake_signal import WakeSignal

NO_TRAINER = "127.0.0.1:1"
NEVER = 3_600.0
# Seconds within which a worker must notice that a lease or a wait has ended.
NOTICED = 1.0


@pytest.fixture
def worked(database: Database[Document], tmp_path: Path) -> Callable[..., MongoDao]:
    """Lets a worker with the settings of the environment work until a condition holds, or for a few looks."""
    dao = MongoDao(database)

    async def run(condition: Callable[[], Any] | None, trainer: str) -> None:
        wake_signal = WakeSignal()
        inputs = InputReader(dao, POLICY)
        async with working(Settings(data_dir=tmp_path), dao, inputs, TrainerAddress(trainer), wake_signal):
            if condition is None:
                for _ in range(5):
                    wake_signal.wake()
                    await asyncio.sleep(0.2)
            else:
                await until(lambda: (wake_signal.wake(), condition())[1])

    def work(condition: Callable[[], Any] | None = None, trainer: str = NO_TRAINER) -> MongoDao:
        asyncio.run(run(condition, trainer))
        return dao

    return work


def statuses(dao: MongoDao) -> list[BatchStatus]:
    """The statuses of all batches, the oldest first."""
    return [batch.status for batch in reversed(dao.batches.list(None, 100, frozenset()))]


def trained(dao: MongoDao) -> None:
    """Releases batch 1 and marks it as trained, both now."""
    at = datetime.now(UTC)
    dao.batches.release("r-1", None, at)
    for before, to in (
        (BatchStatus.RELEASED, BatchStatus.TRAINING),
        (BatchStatus.TRAINING, BatchStatus.TRAINED),
    ):
        dao.batches.change_status(1, frozenset({before}), to, run_id="run-1", reason="", at=at)


def improved(dao: MongoDao) -> None:
    """Makes a run that succeeded with a version that passed its gate."""
    dao.runs.create(training_run())
    dao.runs.claim("me", NOW, NOW + SECOND)
    dao.runs.finish("run-1", "me", RunState.SUCCEEDED, "", model_version(), NOW)


def test_r10_without_settings_a_worker_releases_and_archives_nothing(
    database: Database[Document], worked: Callable[..., MongoDao]
) -> None:
    """R10: schedulers do that, unless the settings make a worker do it."""
    dao = MongoDao(database)
    dao.sessions.append(session_drafts(3))
    trained(dao)
    dao.sessions.append(session_drafts(3, "b2"))
    worked()
    assert statuses(dao) == [BatchStatus.TRAINED, BatchStatus.COLLECTING]


@pytest.mark.parametrize(
    ("variable", "value"), [("CLICKSTREAM_AUTO_RELEASE_SESSIONS", "3"), ("CLICKSTREAM_AUTO_RELEASE_AGE", "0.01")]
)
def test_r10_a_worker_releases_as_the_settings_say(
    database: Database[Document],
    worked: Callable[..., MongoDao],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
) -> None:
    """R10: a worker releases the collecting batch by its size or by its age."""
    monkeypatch.setenv(variable, value)
    dao = MongoDao(database)
    dao.sessions.append(session_drafts(3))
    worked(lambda: len(statuses(dao)) > 1)
    assert dao.batches.get(1).release_id.startswith("auto-batch-1-")


def test_r10_a_worker_archives_as_the_settings_say(
    database: Database[Document], worked: Callable[..., MongoDao], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R10: a worker archives a batch when `archive_after` has passed since its training."""
    monkeypatch.setenv("CLICKSTREAM_ARCHIVE_AFTER", "0.01")
    dao = MongoDao(database)
    dao.sessions.append(session_drafts(1))
    trained(dao)
    worked(lambda: statuses(dao)[0] is BatchStatus.ARCHIVED)


@pytest.mark.parametrize(("value", "promoted"), [("true", "model-run-1"), ("false", ""), ("", "")])
def test_r17_a_worker_promotes_only_if_the_settings_say_so(
    database: Database[Document],
    worked: Callable[..., MongoDao],
    server: InProcessServer,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    promoted: str,
) -> None:
    """R17: a version that passed its gate waits for a person by default; promoted automatically, it serves."""
    loaded: list[str] = []

    def load(model_version_id: str) -> Embedder:
        loaded.append(model_version_id)
        return lambda kind, texts: [[1.0] for _ in texts]

    monkeypatch.setenv("CLICKSTREAM_AUTO_PROMOTE", value)
    monkeypatch.setattr(server, "load_embedder", load)
    dao = MongoDao(database)
    improved(dao)
    worked(lambda: dao.runs.promotion_due() is None, server.address)
    current = dao.promotions.current()
    assert ((current.model_version_id if current else ""), loaded) == (promoted, [promoted] if promoted else [])


def test_r16_a_worker_promotes_when_its_trainer_is_back(
    database: Database[Document],
    worked: Callable[..., MongoDao],
    server: InProcessServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R16: a promotion waits for a trainer that is away, and is refused by one that cannot load the version."""
    monkeypatch.setenv("CLICKSTREAM_AUTO_PROMOTE", "true")
    dao = MongoDao(database)
    improved(dao)
    worked(trainer=NO_TRAINER)
    assert dao.runs.promotion_due() == model_version()
    worked(lambda: dao.runs.promotion_due() is None, server.address)
    assert dao.promotions.current() is None


@pytest.fixture
def noticed(
    database: Database[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[datetime, datetime]]:
    """Runs a worker that never polls until `known` gives the end of a lease or wait, and then until `condition` holds.

    Returns that end, and the moment when the condition became true.
    """
    monkeypatch.setattr(module, "FOLLOWED_POLL_SECONDS", NEVER)
    dao = MongoDao(database)

    async def run(known: Callable[[], Any], condition: Callable[[], Any]) -> tuple[datetime, datetime]:
        inputs = InputReader(dao, POLICY)
        wake_signal = WakeSignal()
        async with working(Settings(data_dir=tmp_path), dao, inputs, TrainerAddress(NO_TRAINER), wake_signal):
            end = await until(known)
            await until(condition)
            return end, datetime.now(UTC)

    return lambda known, condition: asyncio.run(run(known, condition))


def test_r16_a_dead_workers_run_goes_on_when_its_lease_ends(
    database: Database[Document], noticed: Callable[..., tuple[datetime, datetime]]
) -> None:
    """R16: an idle worker takes up a killed worker's run as soon as the lease ends."""
    dao, runs = MongoDao(database), database["training_runs"]
    dao.runs.create(training_run())
    ends = datetime.now(UTC) + timedelta(seconds=4)
    dao.runs.claim("dead", datetime.now(UTC), ends)
    end, at = noticed(lambda: ends, lambda: runs.find_one({"_id": "run-1"}).get("owner") != "dead")
    assert timedelta() <= at - end < NOTICED * SECOND


def test_r16_a_run_is_tried_again_at_the_end_of_its_wait(
    database: Database[Document], noticed: Callable[..., tuple[datetime, datetime]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R16: a run whose trainer is away is tried again as soon as its wait ends."""
    monkeypatch.setattr(run_worker, "RETRY_SECONDS", 2.0)
    dao, runs = MongoDao(database), database["training_runs"]
    dao.sessions.append(session_drafts(1))
    dao.batches.release("r-1", None, NOW)
    dao.runs.create(training_run())

    def waits() -> datetime | None:
        run = runs.find_one({"_id": "run-1"})
        return run["available_at"] if (run["state"], run["attempts"]) == ("queued", 1) else None

    end, at = noticed(waits, lambda: dao.runs.get("run-1").attempts == 2)
    assert timedelta() <= at - end < NOTICED * SECOND


def test_r15_a_dead_workers_sessions_go_back_when_their_lease_ends(
    database: Database[Document], noticed: Callable[..., tuple[datetime, datetime]]
) -> None:
    """R15: sessions that a killed worker had taken for a group wait again as soon as its lease ends."""
    dao = MongoDao(database)
    dao.sessions.append(session_drafts(1))
    dao.improvement.queue(dao.sessions.get("s-1"), NOW)
    ends = datetime.now(UTC) + timedelta(seconds=4)
    assert dao.improvement.take(["s-1"], "never-made", NOW, ends)
    end, at = noticed(lambda: ends, lambda: dao.improvement.get("s-1").state is ImprovementState.PENDING)
    assert timedelta() <= at - end < NOTICED * SECOND


@pytest.mark.parametrize(("promoted", "base_model"), [("model-9", "model-9"), ("", "as configured")])
def test_r17_a_run_of_the_queue_begins_from_what_serves(
    database: Database[Document],
    worked: Callable[..., MongoDao],
    monkeypatch: pytest.MonkeyPatch,
    promoted: str,
    base_model: str,
) -> None:
    """R17: it goes on from what serves, or from the configured base model while none does."""
    asked = queries(MIN_HELD_OUT_QUERIES, MIN_TRAINING_QUERIES)
    monkeypatch.setenv("CLICKSTREAM_BASE_MODEL", "as configured")
    monkeypatch.setenv("CLICKSTREAM_ITEM_TEMPLATE", "{title} as configured")
    monkeypatch.setenv("CLICKSTREAM_IMPROVEMENT_GROUP", str(len(asked)))
    dao = MongoDao(database)
    if promoted:
        dao.promotions.append(PromotionOrder("p-1", promoted), NOW)
    dao.sessions.append([session_draft(query, query=query) for query in asked])
    dao.events.append([push(query, "e-1") for query in asked])
    for query in asked:
        dao.improvement.queue(dao.sessions.get(query), NOW, query)
    worked(lambda: dao.runs.list(None, 9, frozenset()))
    [run] = dao.runs.list(None, 9, frozenset())
    assert run.from_improvement_queue
    assert (run.settings.base_model, run.settings.item_template) == (base_model, "{title} as configured")
