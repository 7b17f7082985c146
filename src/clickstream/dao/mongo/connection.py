"""The connection to MongoDB, and the translation of its failures."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ParamSpec, TypeVar

import pymongo
from pymongo import monitoring
from pymongo.collection import Collection
from pymongo.errors import PyMongoError
from pymongo.monitoring import ConnectionPoolListener
from typing_extensions import override

from clickstream.domain.errors import Reason, Unavailable
from clickstream.domain.signals import NoSignals, Signals

Document = dict[str, Any]
P = ParamSpec("P")
R = TypeVar("R")

DUPLICATE_KEY = 11000
NO_SIGNALS = NoSignals()
# The commands that this service sends; the driver's own count as `other`.
COMMANDS = frozenset(
    ("find", "insert", "update", "delete", "findAndModify", "aggregate", "getMore", "count", "distinct", "hello")
)


class CommandTimes(monitoring.CommandListener):
    """Observes the time of each command, `store_command_seconds`. Nothing of its content is looked at."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals

    @override
    def started(self, event: monitoring.CommandStartedEvent) -> None:
        pass

    @override
    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        command = event.command_name
        # A stream of changes is asked for more and waits: that is no slow read.
        if command == "getMore" and "postBatchResumeToken" in event.reply.get("cursor", ()):
            command = "watch"
        self._observe(command, event.duration_micros, "ok")

    @override
    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self._observe(event.command_name, event.duration_micros, "failed")

    def _observe(self, command: str, microseconds: int, outcome: str) -> None:
        known = command if command in COMMANDS or command == "watch" else "other"
        self._signals.observe("store_command_seconds", microseconds / 1e6, command=known, outcome=outcome)


def connect(
    uri: str, timeout: float, signals: Signals = NO_SIGNALS, *listeners: ConnectionPoolListener
) -> pymongo.MongoClient[Document]:
    """A client whose writes are acknowledged by a majority with the journal written (R3).

    Reads are majority reads: a session that a reader has seen cannot be rolled back.
    `timeout` bounds every operation, retries included, in seconds. `signals` takes the times of commands, and
    `listeners` hear of lost connections.
    """
    times = [] if isinstance(signals, NoSignals) else [CommandTimes(signals)]
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
        event_listeners=[*times, *listeners],
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
