"""The stores that the contract suite runs over."""

import mongomock
import pytest
from support.memory_store import MemoryDao

from clickstream.dao.interface.store import ClickstreamDao
from clickstream.dao.mongo.schema import create_indexes
from clickstream.dao.mongo.store import MongoDao


@pytest.fixture(params=["memory", "mongomock", "mongod"])
def dao(request: pytest.FixtureRequest) -> ClickstreamDao:
    """An empty store of each kind."""
    if request.param == "memory":
        return MemoryDao()
    if request.param == "mongod":
        return MongoDao(request.getfixturevalue("database"))
    database = mongomock.MongoClient(tz_aware=True)["clickstream"]
    create_indexes(database)
    return MongoDao(database)
