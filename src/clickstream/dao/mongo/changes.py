"""What brings work for a worker: changes in MongoDB, and the time when a lease ends."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pymongo.database import Database
from pymongo.errors import OperationFailure

from clickstream.dao.mongo.connection import Document, translated
from clickstream.domain.errors import Reason, Unavailable
from clickstream.domain.improvement import ImprovementState
from clickstream.domain.runs import ENDED, RunState

NO_CHANGE_STREAMS = frozenset({40573})
"""What a server answers that is no replica set."""

HOLDING = ("training_runs", "sessions_for_improvement")
"""Whose documents say in `held` until when nobody else may take them."""

WAIT_MILLISECONDS = 1_000
"""The server answers after so long when nothing happens: how long a stop may take, and an idle worker's pace."""

QUIET_SECONDS = 0.1
"""What comes so soon after another change is told with the next, or when the server has waited: a worker that looks for
work anyway need not hear of each of a thousand queued sessions."""


def _set_to(collection: str, states: list[str]) -> Document:
    return {"ns.coll": collection, "updateDescription.updatedFields.state": {"$in": states}}


BRINGS_WORK: list[dict[str, Any]] = [
    {
        "$match": {
            "$or": [
                {"operationType": "insert", "ns.coll": {"$in": ["training_runs", "sessions_for_improvement"]}},
                # An end is work too: what the run means for its sessions, and whether its version is promoted.
                _set_to("training_runs", sorted({RunState.QUEUED, *ENDED})),
                _set_to("sessions_for_improvement", [ImprovementState.PENDING]),
                # A worker that stops lets go of its run, which stays running.
                {"ns.coll": "training_runs", "updateDescription.removedFields": "owner"},
            ]
        }
    },
    {"$project": {"_id": 1}},
]
"""Matched by the server: heartbeats, progress and claims, which are most of the writes, wake nobody."""


class MongoChanges:
    """`ChangeDao` over a MongoDB change stream."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database

    @translated
    def follow(self, told: Callable[[], None], is_stopped: Callable[[], bool]) -> bool:
        """See `ChangeDao`."""
        try:
            stream = self._database.watch(BRINGS_WORK, max_await_time_ms=WAIT_MILLISECONDS)
        except OperationFailure as error:
            if error.code in NO_CHANGE_STREAMS:
                return False
            raise
        with stream:
            # From here on nothing is missed; what came before is what this look is for.
            told()
            last_told, untold = time.monotonic(), False
            while not is_stopped():
                if not stream.alive:
                    # Its database was dropped, for example: it would answer nothing, at once, for ever.
                    raise Unavailable(Reason.STORE_UNAVAILABLE, "the change stream has ended")
                untold |= stream.try_next() is not None
                if untold and time.monotonic() - last_told >= QUIET_SECONDS:
                    told()
                    last_told, untold = time.monotonic(), False
        return True

    @translated
    def next_end(self, after: datetime) -> datetime | None:
        """See `ChangeDao`."""
        query, fields = {"held": {"$gt": after}}, {"_id": 0, "held": 1}
        first = (self._database[name].find_one(query, fields, sort=[("held", 1)]) for name in HOLDING)
        return min((document["held"] for document in first if document), default=None)
