"""The database that a process works on: the user's, or an embedded one for as long as it is needed."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

from clickstream.app.process import say
from clickstream.app.settings import Settings
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import connect
from clickstream.dao.mongo.schema import prepare_schema
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.errors import StartError

SUPERVISION_SECONDS = 1.0

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def store(settings: Settings, uri: str) -> Iterator[MongoDao]:
    """The store, in reach and with its schema. Raises errors.Unavailable."""
    with contextlib.closing(connect(uri, settings.store_timeout)) as client:
        dao = MongoDao(client[settings.database])
        dao.ping()
        prepare_schema(client[settings.database])
        yield dao


@contextlib.asynccontextmanager
async def mongodb_uri(settings: Settings) -> AsyncIterator[str]:
    """The user's MongoDB, or the embedded one for as long as it is needed."""
    if settings.mongodb_uri:
        yield settings.mongodb_uri
        return
    mongo = EmbeddedMongo(settings.data_dir / "mongodb", settings.mongod_cache_gb)
    # One thread for its whole life: see EmbeddedMongo.
    with ThreadPoolExecutor(1, thread_name_prefix="embedded-mongodb") as keeper:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(keeper, mongo.start)
        say(f"embedded MongoDB on {mongo.uri}")
        supervision = asyncio.create_task(_supervise(mongo, keeper))
        try:
            yield mongo.uri
        finally:
            supervision.cancel()
            await loop.run_in_executor(keeper, mongo.stop)


async def _supervise(mongo: EmbeddedMongo, keeper: ThreadPoolExecutor) -> None:
    """Starts the embedded MongoDB again should it die; calls answer UNAVAILABLE meanwhile."""
    while True:
        await asyncio.sleep(SUPERVISION_SECONDS)
        if mongo.is_running():
            continue
        logger.error("the embedded MongoDB died and is started again")
        try:
            await asyncio.get_running_loop().run_in_executor(keeper, mongo.start)
        except StartError as error:
            logger.error("%s", error)
