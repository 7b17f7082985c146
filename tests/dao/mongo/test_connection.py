"""The schema on a real mongod."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymongo
import pytest
from support.builders import new_id
from support.servers import wait_for

from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document, connect
from clickstream.dao.mongo.schema import prepare_schema
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.errors import Unavailable

TOGETHER = 4


def test_r3_a_store_that_is_away_answers_no_ping() -> None:
    """R3: a ping raises Unavailable if nothing listens at the address of the store."""
    with (
        connect("mongodb://127.0.0.1:1/?directConnection=true", timeout=0.1) as client,
        pytest.raises(Unavailable, match="did not acknowledge"),
    ):
        MongoDao(client["clickstream"]).ping()


def test_r3_a_store_that_takes_no_writes_answers_no_ping(mongod_program: None, tmp_path: Path) -> None:
    """R3: a ping raises Unavailable while the member that the URI names is a secondary, and answers after that."""
    mongo = EmbeddedMongo(tmp_path, cache_gb=0.25)
    mongo.start()
    try:
        with connect(mongo.uri, timeout=5) as client:
            dao = MongoDao(client["clickstream"])
            dao.ping()
            client.admin.command("replSetStepDown", 3, force=True)
            with pytest.raises(Unavailable, match="no primary"):
                dao.ping()
            wait_for(lambda: is_answered(dao))
    finally:
        mongo.stop()


def is_answered(dao: MongoDao) -> bool:
    """Whether the store answers a ping."""
    try:
        dao.ping()
    except Unavailable:
        return False
    return True


def test_r20_processes_that_start_together_prepare_one_schema(mongo_client: pymongo.MongoClient[Document]) -> None:
    """R20: processes that prepare an empty database at the same time all succeed."""
    barrier = threading.Barrier(TOGETHER)

    def start(name: str) -> None:
        barrier.wait()
        prepare_schema(mongo_client[name])

    with ThreadPoolExecutor(TOGETHER) as pool:
        for _ in range(5):
            database = mongo_client[new_id("race")]
            list(pool.map(start, [database.name] * TOGETHER))
            assert database["session_events"].options()["clusteredIndex"]["key"] == {"_id": 1}
            mongo_client.drop_database(database.name)
