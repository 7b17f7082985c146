"""Which store this process talks to: what is remembered of a store ends with it.

A database carries an id, made when its schema was prepared, or by a restore. After each lost connection the id is read
again before anything remembered is used: the server behind the address may have other data now.
"""

import threading
import uuid
from collections.abc import Callable

from pymongo.database import Database
from pymongo.monitoring import (
    ConnectionCheckedInEvent,
    ConnectionCheckedOutEvent,
    ConnectionCheckOutFailedEvent,
    ConnectionCheckOutStartedEvent,
    ConnectionClosedEvent,
    ConnectionCreatedEvent,
    ConnectionPoolListener,
    ConnectionReadyEvent,
    PoolClearedEvent,
    PoolClosedEvent,
    PoolCreatedEvent,
    PoolReadyEvent,
)

from clickstream.dao.mongo.connection import Document
from clickstream.domain.errors import Reason, Unavailable

META, IDENTITY = "clickstream_meta", "store"


class Reconnects(ConnectionPoolListener):
    """Counts how often connections to MongoDB were lost."""

    def __init__(self) -> None:
        self.count = 0

    def pool_cleared(self, event: PoolClearedEvent) -> None:
        """Called by the driver when a member dies, steps down or cannot be reached, before it connects again."""
        self.count += 1

    def pool_created(self, event: PoolCreatedEvent) -> None:
        """Not counted."""

    def pool_ready(self, event: PoolReadyEvent) -> None:
        """Not counted."""

    def pool_closed(self, event: PoolClosedEvent) -> None:
        """Not counted."""

    def connection_created(self, event: ConnectionCreatedEvent) -> None:
        """Not counted."""

    def connection_ready(self, event: ConnectionReadyEvent) -> None:
        """Not counted."""

    def connection_closed(self, event: ConnectionClosedEvent) -> None:
        """Not counted."""

    def connection_check_out_started(self, event: ConnectionCheckOutStartedEvent) -> None:
        """Not counted."""

    def connection_check_out_failed(self, event: ConnectionCheckOutFailedEvent) -> None:
        """Not counted."""

    def connection_checked_out(self, event: ConnectionCheckedOutEvent) -> None:
        """Not counted."""

    def connection_checked_in(self, event: ConnectionCheckedInEvent) -> None:
        """Not counted."""


def ensure_identity(database: Database[Document]) -> None:
    """Gives the database an id if it has none."""
    database[META].update_one({"_id": IDENTITY}, {"$setOnInsert": {"id": uuid.uuid4().hex}}, upsert=True)


class StoreIdentity:
    """Confirms that the store is still the one of the start. May be used by several threads."""

    def __init__(self, database: Database[Document], reconnects: Reconnects) -> None:
        self._database = database
        self._reconnects = reconnects
        self._confirmed = -1
        self._id: object = None
        self._lock = threading.Lock()
        self._forgetting: list[Callable[[], None]] = []

    def when_lost(self, forget: Callable[[], None]) -> None:
        """`forget` is called after each lost connection, before the store is used again."""
        self._forgetting.append(forget)

    @property
    def losses(self) -> int:
        """Lost connections so far: what was looked up before is uncertain if the number has changed since."""
        return self._reconnects.count

    def confirm(self) -> None:
        """Returns at once, unless a connection was lost; then forgets, and compares the id.

        Raises:
            Unavailable: The store has another id, or none any more.
            PyMongoError: The store does not answer.
        """
        if self._confirmed == self._reconnects.count:
            return
        with self._lock:
            while self._confirmed != (count := self._reconnects.count):
                for forget in self._forgetting:
                    forget()
                self._compare()
                self._confirmed = count

    def _compare(self) -> None:
        found = (self._database[META].find_one({"_id": IDENTITY}) or {}).get("id")
        if self._confirmed < 0:
            self._id = found
        elif found != self._id:
            raise Unavailable(
                Reason.STORE_UNAVAILABLE,
                "the store has other data than when this process started: it was emptied or restored, so restart "
                "this process if that was meant",
            )
