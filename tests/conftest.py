"""What every test may use: a real mongod, databases in it, and servers in this and in other processes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pymongo
import pytest
from hypothesis import settings
from pymongo.database import Database
from support.builders import new_id
from support.memory_store import MemoryDao
from support.servers import Clock, InProcessServer, ServeProcess

from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document, connect
from clickstream.dao.mongo.schema import prepare_schema
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain import query_split

# Examples are the same in every run, and a busy machine fails nothing.
settings.register_profile("clickstream", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("clickstream")


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedMongo]:
    """A real mongod, shared by all tests."""
    mongo = EmbeddedMongo(tmp_path_factory.mktemp("mongod"), cache_gb=0.25)
    mongo.start()
    yield mongo
    mongo.stop()


@pytest.fixture(scope="session")
def mongo_client(mongod: EmbeddedMongo) -> Iterator[pymongo.MongoClient[Document]]:
    """A client as the service makes it."""
    with connect(mongod.uri, timeout=20) as client:
        yield client


@pytest.fixture
def database(mongo_client: pymongo.MongoClient[Document]) -> Iterator[Database[Document]]:
    """A fresh database with the service's schema."""
    database = mongo_client[new_id("test")]
    prepare_schema(database)
    yield database
    mongo_client.drop_database(database.name)


@pytest.fixture
def clock() -> Clock:
    """The servers' time, which stands still."""
    return Clock()


@pytest.fixture
def few_queries_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions of a single query make a run of the improvement queue, for tests of what else such a run does."""
    monkeypatch.setattr(query_split, "MIN_HELD_OUT_QUERIES", 0)
    monkeypatch.setattr(query_split, "MIN_TRAINING_QUERIES", 0)


@pytest.fixture
def memory_dao() -> MemoryDao:
    """An empty store in memory."""
    return MemoryDao()


@pytest.fixture
def server(memory_dao: MemoryDao, clock: Clock) -> Iterator[InProcessServer]:
    """A running server over the store in memory."""
    with InProcessServer(memory_dao, clock) as server:
        yield server


@pytest.fixture
def mongo_server(database: Database[Document], clock: Clock) -> Iterator[InProcessServer]:
    """A running server over a fresh MongoDB database."""
    with InProcessServer(MongoDao(database), clock) as server:
        yield server


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ServeProcess]]:
    """Starts `clickstream serve` processes; those still running at the end are killed."""
    started: list[ServeProcess] = []

    def start(*options: str, **environment: str) -> ServeProcess:
        started.append(ServeProcess(tmp_path / "data", environment, options=options))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def train(tmp_path: Path) -> Iterator[Callable[..., ServeProcess]]:
    """Starts `clickstream trainer` processes; those still running at the end are killed."""
    started: list[ServeProcess] = []

    def start(listen: str = "127.0.0.1:0") -> ServeProcess:
        started.append(ServeProcess(tmp_path / "trainer", {}, "trainer", listen))
        return started[-1]

    yield start
    for process in started:
        process.kill()
