"""Brings the data of an older version to this version's schema: once, by one process, while the others wait.

A migration may be repeated from its beginning: a process that dies in one leaves its version as it was, and the next
one takes over when the lock ends.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from clickstream.dao.mongo.connection import Document
from clickstream.domain.errors import StartError

# The lock ends after this time, unless the migration renews it.
LOCK_SECONDS = 60.0
POLL_SECONDS = 0.1
# How long a process that starts waits for another one's migration.
PATIENCE_SECONDS = 3600.0

Renew = Callable[[], None]
# Schema version → what brings the data of the version before to it. It calls `renew` at least every 20 s.
MIGRATIONS: Mapping[int, Callable[[Database[Document], Renew], None]] = {}


def migrate(database: Database[Document], found: int, wanted: int) -> None:
    """Returns when the database has the wanted version, by this process or another one.

    Args:
        database: The data.
        found: Their schema version.
        wanted: This program's, not below `found`.

    Raises:
        StartError: Another process holds the lock for longer than `PATIENCE_SECONDS`.
    """
    meta = database["clickstream_meta"]
    owner = f"{socket.gethostname()} pid {os.getpid()} {time.monotonic_ns()}"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while found < wanted:
        if _take(database, owner):
            try:
                found = _version(database)
                if found < wanted:
                    MIGRATIONS[found + 1](database, lambda: _renew(database, owner))
                    _renew(database, owner)
                    meta.update_one({"_id": "schema", "version": found}, {"$set": {"version": found + 1}})
            finally:
                meta.delete_one({"_id": "migration", "owner": owner})
        elif time.monotonic() > deadline:
            raise StartError(f"another process has been migrating the database {database.name} for too long")
        else:
            time.sleep(POLL_SECONDS)
        found = _version(database)


def _version(database: Database[Document]) -> int:
    return int((database["clickstream_meta"].find_one({"_id": "schema"}) or {})["version"])


def _take(database: Database[Document], owner: str) -> bool:
    now = datetime.now(UTC)
    try:
        database["clickstream_meta"].update_one(
            {"_id": "migration", "until": {"$lt": now}},
            {"$set": {"owner": owner, "until": now + timedelta(seconds=LOCK_SECONDS)}},
            upsert=True,
        )
    except DuplicateKeyError:
        return False
    return True


def _renew(database: Database[Document], owner: str) -> None:
    until = datetime.now(UTC) + timedelta(seconds=LOCK_SECONDS)
    renewed = database["clickstream_meta"].update_one({"_id": "migration", "owner": owner}, {"$set": {"until": until}})
    if not renewed.matched_count:
        raise StartError("another process took the migration over: this one was too slow")
