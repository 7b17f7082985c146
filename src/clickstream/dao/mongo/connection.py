"""The connection to MongoDB, and the translation of its failures."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ParamSpec, TypeVar

import pymongo
from pymongo.collection import Collection
from pymongo.errors import PyMongoError
from pymongo.monitoring import ConnectionPoolListener

from clickstream.domain.errors import Reason, Unavailable

Document = dict[str, Any]
P = ParamSpec("P")
R = TypeVar("R")

DUPLICATE_KEY = 11000


def connect(uri: str, timeout: float, *listeners: ConnectionPoolListener) -> pymongo.MongoClient[Document]:
    """A client whose writes are acknowledged by a majority with the journal written (R3).

    Reads are majority reads: a session that a reader has seen cannot be rolled back.
    `timeout` bounds every operation, retries included, in seconds. `listeners` hear of lost connections.
    """
    return pymongo.MongoClient(
        uri,
        w="majority",
        journal=True,
        readConcernLevel="majority",
        retryWrites=True,
        tz_aware=True,
        timeoutMS=int(timeout * 1000),
        serverSelectionTimeoutMS=int(timeout * 1000),
        appname="clickstream",
        event_listeners=listeners,
    )


def translated(method: Callable[P, R]) -> Callable[P, R]:
    """Turns every failure of the driver or the server into `Unavailable`.

    No content that a caller sends can make these operations fail. The cause is the store's state (no primary,
    no majority, disk full, no permission), so a retry is the right answer.
    """

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except PyMongoError as error:
            raise _unavailable(error) from error

    return call


def translated_reads(method: Callable[P, Iterator[R]]) -> Callable[P, Iterator[R]]:
    """As `translated`, for a method that reads while its result is iterated over."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        try:
            yield from method(*args, **kwargs)
        except PyMongoError as error:
            raise _unavailable(error) from error

    return call


def _unavailable(error: PyMongoError) -> Unavailable:
    return Unavailable(Reason.STORE_UNAVAILABLE, f"the store did not acknowledge: {type(error).__name__}")


def check_acknowledged(details: Mapping[str, Any]) -> None:
    """Raises `Unavailable` if a bulk write was carried out, but not acknowledged by a majority."""
    if details.get("writeConcernErrors"):
        raise Unavailable(Reason.STORE_UNAVAILABLE, "the write was not acknowledged by a majority in time")


MongoCollection = Collection[Document]
