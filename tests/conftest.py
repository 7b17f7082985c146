"""What every test may use: a real mongod, databases in it, and servers in this and in other processes.

How tests are chosen stands here, too: their marks, and what runs alone.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymongo
import pytest
from hypothesis import settings
from pymongo.database import Database
from support import parts
from support.alone import turn
from support.builders import new_id
from support.memory_store import MemoryDao
from support.servers import Clock, InProcessServer, ServeProcess

from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document, connect
from clickstream.dao.mongo.schema import prepare_schema
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain import query_split

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

# Examples are the same in every run, and a busy machine fails nothing.
settings.register_profile("clickstream", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("clickstream")

TURNS = "CLICKSTREAM_TEST_TURNS"
MADE = pytest.StashKey[str]()
LEFT_OUT = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Makes the folder where the processes of a parallel run meet; they inherit its name."""
    if getattr(config.option, "numprocesses", None):
        os.environ[TURNS] = config.stash[MADE] = tempfile.mkdtemp(prefix="clickstream-tests-")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Passes over tests/training where torch is not installed, unless it must be: every module there imports it."""
    needed = os.environ.get("CI") == "true" and "not torch" not in config.option.markexpr
    return True if collection_path == parts.TRAINING and not parts.is_installed("torch") and not needed else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Gives each test the marks of its folder and fixtures, and orders them for a parallel run.

    Tests that train in processes of their own are the slowest and come first, so that the others fill the time beside
    them; tests that run alone come last.
    """
    for item in items:
        for mark in parts.marks_of(item):
            item.add_marker(mark)
    items.sort(key=lambda item: (is_alone(item), not {"mongod", "torch"} <= parts.marks_of(item)))
    config.stash[LEFT_OUT] = parts.left_out(items, config.option.markexpr)
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = config.stash[LEFT_OUT]


def is_alone(item: pytest.Item) -> bool:
    """Whether nothing may run beside a test."""
    return item.get_closest_marker("alone") is not None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Lets each test wait for its turn, before its timeout begins."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    with turn(Path(os.environ[TURNS]), is_alone(item)):
        return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Takes over what a process of a parallel run left out: all collect the same."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", "")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends with one line about what was left out."""
    if hasattr(config, "workerinput"):
        return
    shutil.rmtree(config.stash.get(MADE, ""), ignore_errors=True)
    if line := config.stash.get(LEFT_OUT, ""):
        config.get_terminal_writer().line(line)


@pytest.fixture(scope="session")
def mongod_program() -> None:
    """For tests that start a mongod of their own, also by `serve`."""
    if not parts.has_mongod():
        parts.missing("mongod (the extra `mongod`)")


@pytest.fixture(scope="session")
def torch_installed() -> None:
    """For tests that use the libraries of training."""
    if not parts.is_installed("torch"):
        parts.missing("torch (the extra `training`)")


@pytest.fixture(scope="session")
def tiny_encoder(torch_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny encoder in sentence-transformers format."""
    from support.tiny_encoder import make_tiny_encoder

    return make_tiny_encoder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def mongod(mongod_program: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedMongo]:
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
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The folder of a file system of its own that holds 64 kB; making it takes root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        parts.missing("right to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="session")
def browser() -> "Iterator[WebDriver]":
    """A headless Chromium of the system."""
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        parts.missing("Chromium and its driver")
    options = ChromeOptions()
    options.binary_location = program
    # Root has no sandbox, and a container little shared memory.
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chromium = Chrome(options, ChromeService(driver))
    yield chromium
    chromium.quit()


@pytest.fixture(scope="session")
def promtool() -> str:
    """The path of Prometheus' own checker; `prometheus` stands beside it."""
    found = shutil.which("promtool")
    if not found or not shutil.which("prometheus"):
        parts.missing("Prometheus with its promtool")
    return found


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
def serve(mongod_program: None, tmp_path: Path) -> Iterator[Callable[..., ServeProcess]]:
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
