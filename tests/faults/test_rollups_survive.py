"""Roll-ups while a load writes and workers die (R25, R26): `clickstream worker` processes on a real mongod."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import grpc
import pytest
from embedding_studio.clickstream.v1 import analytics_service_pb2 as pb
from embedding_studio.clickstream.v1 import session_pb2
from pymongo.database import Database
from support.click_logs import LogShape, add_events, mark, write_log
from support.plain_figures import PlainSearch
from support.servers import ServeProcess, wait_for

from clickstream.analytics.figures import FiguresEngine
from clickstream.analytics.frame_bytes import unpack
from clickstream.analytics.frame_rules import FrameRules
from clickstream.analytics.rollups import RollUps
from clickstream.client.analytics import AnalyticsClient, population_of, window_of
from clickstream.conversion.importance import PACKAGED_POLICY, load_policy
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.analytics import Segments, day_of
from clickstream.domain.figures import Question
from clickstream.domain.windows import Bucket, Window

KILLS = 3
WINDOW = Window(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 15, tzinfo=UTC), ZoneInfo("UTC"))


@pytest.fixture
def work(mongod: EmbeddedMongo, database: Database[Document], tmp_path: Path) -> Iterator[Callable[..., ServeProcess]]:
    """Starts processes on the database of this test, by default workers; those that still run at the end are killed."""
    started: list[ServeProcess] = []

    def start(command: str = "worker", listen: str | None = None) -> ServeProcess:
        named = {"MONGODB_URI": mongod.uri, "CLICKSTREAM_DATABASE": database.name}
        named |= {"CLICKSTREAM_SEGMENTS": "context.locale,meta.brand", "CLICKSTREAM_TRAINER": "127.0.0.1:1"}
        named |= {"CLICKSTREAM_RUN_TRAINING": "false"}  # then `serve` leaves the roll-ups to the workers
        started.append(ServeProcess(tmp_path / f"process-{len(started)}", named, command, listen))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def write_on(dao: MongoDao, searches: list[PlainSearch], stopped: threading.Event) -> None:
    """Adds late events, marks and restores until it is stopped."""
    chance = random.Random(1)
    for number in range(100_000):
        search = chance.choice(searches)
        if chance.random() < 0.3:
            mark(dao, search, irrelevant=not search.irrelevant)
        else:
            event = session_pb2.Event(event_id=f"late-{number}", object_id=chance.choice("abcx"), type="click")
            event.created_at.FromDatetime(search.at + timedelta(seconds=chance.randrange(100_000)))
            add_events(dao, search, [event])
        if stopped.wait(0.005):
            return


def ask_on(address: str, found: list[pb.QueryFiguresResponse], stopped: threading.Event) -> None:
    """Asks for everything by day, again and again, until it is stopped."""
    window = window_of(WINDOW.start, WINDOW.end)
    everybody = population_of(include_irrelevant=True, include_robots=True)
    with grpc.insecure_channel(address) as channel:
        while not stopped.is_set():
            found.append(AnalyticsClient(channel).figures(window, "day", population=everybody))


def test_r26_rows_are_right_after_workers_were_killed_under_load(
    work: Callable[..., ServeProcess], database: Database[Document]
) -> None:
    """R25, R26: under a load and kills every answer that is exact has every search; in the end, so has every row."""
    dao = MongoDao(database)
    searches = write_log(dao, 11, LogShape(sessions=600, days=4, batches=4))
    server = work("serve", "127.0.0.1:0")
    stopped, answers = threading.Event(), list[pb.QueryFiguresResponse]()
    threads = [
        threading.Thread(target=write_on, args=(MongoDao(database), searches, stopped)),
        threading.Thread(target=ask_on, args=(server.address, answers, stopped)),
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in range(KILLS):
            worker = work()
            time.sleep(random.Random().uniform(0.2, 2))
            worker.kill()
            # Its lease would keep the next one waiting for 20 s: a person who restarts a worker may wait, a test not.
            database["rollup_state"].update_many({}, {"$unset": {"lease_ends_at": ""}})
        work()
        wait_for(lambda: any(each.coverage.HasField("exact_until") for each in answers), patience=60)
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
    for answer in answers:
        assert sum(row.figures.searches for row in answer.rows) == answer.total.searches <= len(searches)
        if answer.coverage.HasField("exact_until"):
            assert answer.total.searches == len(searches)
    written = datetime.now(UTC)
    wait_for(lambda: (dao.analytics.state().exact_until or WINDOW.start) > written, patience=30)
    rules = FrameRules(load_policy(PACKAGED_POLICY), Segments(("locale",), ("brand",)), "{title}. {text}")
    roll_ups = RollUps(dao, rules)
    heads = dao.analytics.range_heads()
    assert [head.key for head in heads] == dao.analytics.all_ranges()
    assert {head.rules for head in heads} == {roll_ups.digest}
    for key, data in dao.analytics.range_frames(heads, "searches"):
        assert unpack(data).equals(roll_ups.frames_now(key).searches)
    for key, data in dao.analytics.range_frames(heads, "showings"):
        assert unpack(data).equals(roll_ups.frames_now(key).showings)
    robots = {(each.user_id, each.day) for each in dao.robots.of_days((0, 2**20), dao.robots.newest()) if each.robot}
    relevant = [each for each in searches if not each.irrelevant]
    of_robots = sum((each.session.user_id, day_of(each.at)) in robots for each in relevant)
    total = FiguresEngine(dao, roll_ups).figures(WINDOW, Bucket.WHOLE, "", Question(), 20).total
    assert (total.searches, total.robot_searches) == (len(relevant) - of_robots, of_robots)
    assert total.irrelevant_searches == sum(each.irrelevant for each in searches)
