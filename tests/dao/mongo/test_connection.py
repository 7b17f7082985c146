"""The schema on a real mongod."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pymongo
from support.builders import new_id

from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.schema import prepare_schema

TOGETHER = 4


def test_r20_processes_that_start_together_prepare_one_schema(mongo_client: pymongo.MongoClient[Document]) -> None:
    """R20: who comes second finds the collection made, also where nobody saw it before."""
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
