"""The database of a process: the user's own, or an embedded one that lives as long as the process."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

from clickstream.app.process import say
from clickstream.app.settings import Settings
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import connect
from clickstream.dao.mongo.identity import Reconnects
from clickstream.dao.mongo.schema import prepare_schema
from clickstream.dao.mongo.starting import database_name, starting
from clickstream.dao.mongo.store import MongoDao, check_writable
from clickstream.domain.errors import StartError
from clickstream.domain.signals import NoSignals, Signals

# Seconds between two checks that the embedded MongoDB is alive.
SUPERVISION_SECONDS = 1.0
NO_SIGNALS = NoSignals()

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def store(settings: Settings, uri: str, signals: Signals = NO_SIGNALS) -> Iterator[MongoDao]:
    """Connects to the store, prepares its schema, and yields it. `signals` takes the times of its commands.

    Raises:
        ValueError: MONGODB_URI or CLICKSTREAM_DATABASE is wrong; the message says what, without a secret.
        errors.Unavailable: The store does not answer.
        StartError: Its data is of another version of this service.
    """
    name = database_name(uri, settings.database if "database" in settings.model_fields_set else "")
    with contextlib.ExitStack() as stack:
        with starting(uri, name):
            reconnects = Reconnects()
            client = stack.enter_context(contextlib.closing(connect(uri, settings.store_timeout, signals, reconnects)))
            check_writable(client[name])
            prepare_schema(client[name])
            dao = MongoDao(client[name], signals, reconnects)
            dao.ping()
        yield dao


@contextlib.asynccontextmanager
async def mongodb_uri(settings: Settings, signals: Signals = NO_SIGNALS) -> AsyncIterator[str]:
    """Yields the URI of the user's MongoDB, or of an embedded one that is stopped at the end. Raises StartError.

    Signals: `embedded_mongodb_up`, where there is one.
    """
    if settings.mongodb_uri:
        yield settings.mongodb_uri
        return
    mongo = EmbeddedMongo(settings.data_dir / "mongodb", settings.mongod_cache_gb)
    # mongod ends with the thread that started it, so this thread lives as long as mongod is needed.
    with ThreadPoolExecutor(1, thread_name_prefix="embedded-mongodb") as keeper:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(keeper, mongo.start)
        say(f"embedded MongoDB on {mongo.uri}")
        supervision = asyncio.create_task(_supervise(mongo, keeper, signals))
        try:
            yield mongo.uri
        finally:
            supervision.cancel()
            await loop.run_in_executor(keeper, mongo.stop)


async def _supervise(mongo: EmbeddedMongo, keeper: ThreadPoolExecutor, signals: Signals) -> None:
    """Restarts the embedded MongoDB when it dies; calls answer UNAVAILABLE until it is back."""
    while True:
        is_up = mongo.is_running()
        signals.set("embedded_mongodb_up", float(is_up))
        if is_up:
            await asyncio.sleep(SUPERVISION_SECONDS)
            continue
        logger.error("the embedded MongoDB died; starting it again")
        try:
            await asyncio.get_running_loop().run_in_executor(keeper, mongo.start)
        except (StartError, ValueError, OSError) as error:  # a full disk, for example: the next look tries again
            logger.error("%s", error)
            await asyncio.sleep(SUPERVISION_SECONDS)
