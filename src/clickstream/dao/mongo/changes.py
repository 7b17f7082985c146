"""When there may be work for a worker: changes in MongoDB, and the moments at which leases end."""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from pymongo.database import Database
from pymongo.errors import OperationFailure
from typing_extensions import override

from clickstream.dao.interface.changes import ChangeDao
from clickstream.dao.mongo.connection import Document, translated
from clickstream.domain.errors import Reason, Unavailable
from clickstream.domain.improvement import ImprovementState
from clickstream.domain.runs import ENDED, RunState
from clickstream.domain.signals import Signals

# The error codes with which a server refuses a change stream because it is not a replica set.
NO_CHANGE_STREAMS = frozenset({40573})

# Collection → the field with the moment from which any worker may take a document.
DUE_FIELDS = {"training_runs": "available_at", "sessions_for_improvement": "lease_ends_at"}

# How long the server waits for a change before it answers that there is none: the longest time to stop.
WAIT_MILLISECONDS = 1_000

# Changes within this time are reported as one, so that a thousand queued sessions wake the worker once.
QUIET_SECONDS = 0.1


def _set_to(collection: str, states: list[str]) -> Document:
    return {"ns.coll": collection, "updateDescription.updatedFields.state": {"$in": states}}


# Matched by the server: heartbeats, progress and claims, which are most of the writes, wake no worker.
BRINGS_WORK: list[dict[str, Any]] = [
    {
        "$match": {
            "$or": [
                {"operationType": "insert", "ns.coll": {"$in": sorted(DUE_FIELDS)}},
                # The end of a run is work too: its sessions are settled, and its version may be promoted.
                _set_to("training_runs", sorted({RunState.QUEUED, *ENDED})),
                _set_to("sessions_for_improvement", [ImprovementState.PENDING]),
                # A stopping worker gives its run back without changing its state.
                {"ns.coll": "training_runs", "updateDescription.removedFields": "owner"},
            ]
        }
    },
    {"$project": {"_id": 1, "clusterTime": 1}},
]


class MongoChanges(ChangeDao):
    """`ChangeDao` over a MongoDB change stream."""

    def __init__(self, database: Database[Document], signals: Signals) -> None:
        """Takes the database, and what takes `change_stream_up` and `change_stream_lag_seconds`."""
        self._database = database
        self._signals = signals

    @override
    @translated
    def follow(self, on_change: Callable[[], None], is_stopped: Callable[[], bool]) -> bool:
        try:
            stream = self._database.watch(BRINGS_WORK, max_await_time_ms=WAIT_MILLISECONDS)
        except OperationFailure as error:
            if error.code in NO_CHANGE_STREAMS:
                return False
            raise
        with stream, self._marked_up():
            # The stream misses nothing from here on; the look that this call starts finds what came before.
            on_change()
            last_call, has_pending = time.monotonic(), False
            while not is_stopped():
                if not stream.alive:
                    # Its database was dropped, for example: `try_next` would return at once, and nothing, for ever.
                    raise Unavailable(Reason.STORE_UNAVAILABLE, "the change stream has ended")
                if (change := stream.try_next()) is not None:
                    has_pending = True
                    lag = max(0.0, time.time() - change["clusterTime"].time)
                    self._signals.set("change_stream_lag_seconds", lag)
                if has_pending and time.monotonic() - last_call >= QUIET_SECONDS:
                    on_change()
                    last_call, has_pending = time.monotonic(), False
        return True

    @contextlib.contextmanager
    def _marked_up(self) -> Iterator[None]:
        self._signals.set("change_stream_up", 1.0)
        try:
            yield
        finally:
            self._signals.set("change_stream_up", 0.0)

    @override
    @translated
    def next_due(self, after: datetime) -> datetime | None:
        moments = (self._first(collection, field, after) for collection, field in DUE_FIELDS.items())
        return min((moment for moment in moments if moment is not None), default=None)

    def _first(self, collection: str, field: str, after: datetime) -> datetime | None:
        query, fields = {field: {"$gt": after}}, {"_id": 0, field: 1}
        document = self._database[collection].find_one(query, fields, sort=[(field, 1)])
        moment: datetime | None = document[field] if document else None
        return moment
