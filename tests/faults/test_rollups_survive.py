"""Roll-ups while a load writes and workers die (R25, R26): `clickstream worker` processes on a real mongod."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from embedding_studio.clickstream.v1 import session_pb2
from pymongo.database import Database
from support.click_logs import LogShape, add_events, mark, write_log
from support.plain_figures import PlainSearch
from support.servers import ServeProcess, wait_for

from clickstream.analytics.figures import FiguresEngine
from clickstream.analytics.frame_bytes import unpack
from clickstream.analytics.frame_rules import FrameRules
from clickstream.analytics.rollups import RollUps
from clickstream.conversion.importance import PACKAGED_POLICY, load_policy
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.analytics import Segments
from clickstream.domain.figures import Question
from clickstream.domain.windows import Bucket, Window

KILLS = 3
WINDOW = Window(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 15, tzinfo=UTC), ZoneInfo("UTC"))


@pytest.fixture
def work(mongod: EmbeddedMongo, database: Database[Document], tmp_path: Path) -> Iterator[Callable[[], ServeProcess]]:
    """Starts workers on the database of this test; those still running at the end are killed."""
    started: list[ServeProcess] = []

    def start() -> ServeProcess:
        named = {"MONGODB_URI": mongod.uri, "CLICKSTREAM_DATABASE": database.name}
        named |= {"CLICKSTREAM_SEGMENTS": "context.locale,meta.brand", "CLICKSTREAM_TRAINER": "127.0.0.1:1"}
        started.append(ServeProcess(tmp_path / f"worker-{len(started)}", named, "worker", None))
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


def test_r26_rows_are_right_after_workers_were_killed_under_load(
    work: Callable[[], ServeProcess], database: Database[Document]
) -> None:
    """R25, R26: after kills at any moment, once an answer says that it is exact, every row equals one made anew."""
    dao = MongoDao(database)
    searches = write_log(dao, 11, LogShape(sessions=600, days=4, batches=4))
    stopped = threading.Event()
    load = threading.Thread(target=write_on, args=(MongoDao(database), searches, stopped))
    load.start()
    try:
        for _ in range(KILLS):
            worker = work()
            time.sleep(random.Random().uniform(0.2, 2))
            worker.kill()
            # Its lease would keep the next one waiting for 20 s: a person who restarts a worker may wait, a test not.
            database["rollup_state"].update_many({}, {"$unset": {"lease_ends_at": ""}})
    finally:
        stopped.set()
        load.join()
    written = datetime.now(UTC)
    work()
    wait_for(lambda: (dao.analytics.state().exact_until or WINDOW.start) > written, patience=30)
    roll_ups = RollUps(dao, FrameRules(load_policy(PACKAGED_POLICY), Segments(("locale",), ("brand",))))
    heads = dao.analytics.range_heads()
    assert [head.key for head in heads] == dao.analytics.all_ranges()
    for key, data in dao.analytics.range_frames(heads, "searches"):
        assert unpack(data).equals(roll_ups.frames_now(key).searches)
    for key, data in dao.analytics.range_frames(heads, "showings"):
        assert unpack(data).equals(roll_ups.frames_now(key).showings)
    total = FiguresEngine(dao, roll_ups).figures(WINDOW, Bucket.WHOLE, "", Question(), 20).total
    assert total.searches == sum(not each.irrelevant for each in searches)
    assert total.irrelevant_searches == sum(each.irrelevant for each in searches)
