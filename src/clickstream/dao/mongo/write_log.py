"""Which ranges of sessions were written, from MongoDB's change stream."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from pymongo.database import Database
from pymongo.errors import OperationFailure

from clickstream.dao.interface.analytics import Changes
from clickstream.dao.mongo.connection import Document
from clickstream.domain.analytics import RangeKey
from clickstream.domain.errors import Reason, Unavailable

# The codes with which a server refuses to go on at a token: the place in its log is gone, or not readable.
LOST = frozenset({136, 222, 260, 280, 286})
# Changes are reported together this often, or when there are this many.
REPORT_SECONDS = 1.0
REPORT_CHANGES = 50_000
WAIT_MILLISECONDS = 500
LOOKED_UP_AT_ONCE = 1_000

# By key alone: no content leaves the server.
KEYS: list[dict[str, Any]] = [
    {"$match": {"ns.coll": {"$in": ["sessions", "session_events"]}}},
    {
        "$project": {
            "documentKey": 1,
            "ns.coll": 1,
            "wallTime": 1,
            "operationType": 1,
            "fullDocument.batch": 1,
            "fullDocument.number": 1,
        }
    },
]


def follow(
    database: Database[Document],
    resume_token: Any,
    on_changes: Callable[[Changes], bool],
    is_stopped: Callable[[], bool],
) -> bool:
    """As `AnalyticsDao.follow_writes`."""
    try:
        stream = database.watch(KEYS, resume_after=resume_token, max_await_time_ms=WAIT_MILLISECONDS, batch_size=10_000)
    except OperationFailure as error:
        if error.code in LOST and resume_token is not None:
            return False
        raise
    with stream:
        seen = _Seen(database)
        while not is_stopped():
            if not stream.alive:
                raise Unavailable(Reason.STORE_UNAVAILABLE, "the change stream has ended")
            began = datetime.now(UTC)
            try:
                change = stream.try_next()
            except OperationFailure as error:
                if error.code in LOST:
                    return False
                raise
            if change is not None:
                seen.add(change)
            # An empty answer: all that was acknowledged before the question was reported.
            exact_until = began if change is None else seen.before_last
            if (change is None or seen.is_due()) and not on_changes(
                Changes(seen.take(), stream.resume_token, exact_until)
            ):
                break
    return True


class _Seen:
    """The changes since the last report."""

    def __init__(self, database: Database[Document]) -> None:
        self._sessions = database["sessions"]
        self._ranges: set[RangeKey] = set()
        self._updated: set[str] = set()
        self._count = 0
        self._reported = monotonic()
        self.before_last = datetime.min.replace(tzinfo=UTC)

    def add(self, change: Any) -> None:
        self._count += 1
        # Writes of the same millisecond may still follow.
        self.before_last = change["wallTime"].replace(tzinfo=UTC) - timedelta(milliseconds=1)
        key = change["documentKey"]["_id"]
        if change["ns"]["coll"] == "session_events":
            self._ranges.add(RangeKey.of(key["batch"], key["number"]))
        elif placed := change.get("fullDocument"):
            self._ranges.add(RangeKey.of(placed["batch"], placed["number"]))
        elif isinstance(key, str):  # an update of a session: a mark, for example
            self._updated.add(key)

    def is_due(self) -> bool:
        return self._count >= REPORT_CHANGES or monotonic() - self._reported >= REPORT_SECONDS

    def take(self) -> frozenset[RangeKey]:
        """The changed ranges, which are forgotten then."""
        updated = list(self._updated)
        for begin in range(0, len(updated), LOOKED_UP_AT_ONCE):
            query = {"_id": {"$in": updated[begin : begin + LOOKED_UP_AT_ONCE]}}
            for place in self._sessions.find(query, {"batch": 1, "number": 1}):
                self._ranges.add(RangeKey.of(place["batch"], place["number"]))
        ranges = frozenset(self._ranges)
        self._ranges, self._updated, self._count, self._reported = set(), set(), 0, monotonic()
        return ranges
