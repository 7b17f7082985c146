"""Roll-ups in MongoDB.

A row is a head in `rollup_ranges` or `rollup_days`, and its frames in `rollup_frames`, in parts under a stamp of their
own. To replace a row, the new parts are written first, and the head is exchanged if its version is still the expected
one. Then the old parts go. So a reader always finds whole frames under the stamp of a head, and a crash leaves at most
parts that no head names; the next making of the row deletes those that are an hour old.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import Binary, ObjectId
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from typing_extensions import override

from clickstream.dao.interface.analytics import AnalyticsDao, Changes, DayHead, RangeHead, RawEvent, RollUpState
from clickstream.dao.mongo.connection import Document, MongoCollection, translated, translated_reads
from clickstream.dao.mongo.write_log import follow
from clickstream.domain.analytics import RANGE_SESSIONS, RangeKey

# Below MongoDB's limit of 16 MB for a document.
PART_BYTES = 8 * 1024 * 1024
# Heads whose frames one query reads.
READ_AT_ONCE = 50
# Parts without a head are deleted when they are this old: a making takes seconds.
ORPHAN_AGE = timedelta(hours=1)
STATE = "state"
_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
# The UTC days of the years 1 to 9999, since 1970.
EVERY_DAY = (-719_162, 2_932_896)


class MongoAnalytics(AnalyticsDao):
    """`AnalyticsDao` over the collections `rollup_*`, `sessions` and `session_events`."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database
        self._ranges: MongoCollection = database["rollup_ranges"]
        self._days: MongoCollection = database["rollup_days"]
        self._frames: MongoCollection = database["rollup_frames"]
        self._states: MongoCollection = database["rollup_state"]
        self._sessions: MongoCollection = database["sessions"]
        self._events: MongoCollection = database["session_events"]

    @override
    @translated
    def range_heads(self, days: tuple[int, int] | None = None) -> list[RangeHead]:
        first, last = days or EVERY_DAY
        query = {"days": {"$elemMatch": {"$gte": first, "$lte": last}}}
        return sorted((_range_head(found) for found in self._ranges.find(query)), key=lambda head: head.key)

    @override
    @translated
    def range_head(self, key: RangeKey) -> RangeHead | None:
        found = self._ranges.find_one({"_id": _range_id(key)})
        return _range_head(found) if found else None

    @override
    @translated
    def batch_heads(self, batch: int) -> list[RangeHead]:
        query = {"_id": {"$gte": _range_id(RangeKey(batch, 0)), "$lt": _range_id(RangeKey(batch + 1, 0))}}
        return [_range_head(found) for found in self._ranges.find(query, sort=[("_id", 1)])]

    @override
    @translated
    def replace_range(self, head: RangeHead, frames: Mapping[str, bytes]) -> bool:
        fields = {"days": list(head.days), "rules": head.rules, "totals": dict(head.totals)}
        return self._replace(self._ranges, _range_id(head.key), _range_owner(head.key), head.version, fields, frames)

    @override
    @translated
    def replace_day(self, head: DayHead, frames: Mapping[str, bytes]) -> bool:
        return self._replace(self._days, head.day, f"d/{head.day}", head.version, {"digest": head.digest}, frames)

    def _replace(
        self,
        heads: MongoCollection,
        key: Any,
        owner: str,
        version: int,
        fields: Document,
        frames: Mapping[str, bytes],
    ) -> bool:
        stamp = str(ObjectId())
        parts = [
            {
                "_id": _part_id(owner, stamp, name, part),
                "last": start + PART_BYTES >= len(data),
                "data": Binary(data[start : start + PART_BYTES]),
            }
            for name, data in frames.items()
            for part, start in enumerate(range(0, max(1, len(data)), PART_BYTES))
        ]
        self._frames.insert_many(parts)
        head = {"version": version, "stamp": stamp, **fields}
        try:
            if version == 1:
                heads.insert_one({"_id": key, **head})
                before: Document | None = {}
            else:
                before = heads.find_one_and_replace({"_id": key, "version": version - 1}, head)
        except DuplicateKeyError:
            before = None
        gone = stamp if before is None else before.get("stamp")
        conditions = [_of_owner(owner, gone)] if gone else []
        self._frames.delete_many({"$or": [*conditions, _orphans(owner, stamp)]})
        return before is not None

    @override
    @translated_reads
    def range_frames(self, heads: Sequence[RangeHead], name: str) -> Iterator[tuple[RangeKey, bytes]]:
        for begin in range(0, len(heads), READ_AT_ONCE):
            yield from self._some_range_frames(heads[begin : begin + READ_AT_ONCE], name)

    def _some_range_frames(self, heads: Sequence[RangeHead], name: str) -> Iterator[tuple[RangeKey, bytes]]:
        ids = {_part_id(_range_owner(head.key), head.stamp, name, 0): head for head in heads}
        found = {document["_id"]: document for document in self._frames.find({"_id": {"$in": list(ids)}})}
        for part_id, head in ids.items():
            stamp, data = head.stamp, self._whole(found.get(part_id))
            # The row was replaced since its head was read: at most as often as it is made meanwhile.
            while data is None and (latest := self.range_head(head.key)) is not None and latest.stamp != stamp:
                stamp = latest.stamp
                data = self._whole(self._frames.find_one({"_id": _part_id(_range_owner(head.key), stamp, name, 0)}))
            if data is not None:
                yield head.key, data

    def _whole(self, first: Document | None) -> bytes | None:
        """All parts of a frame, given the first; None if one is gone."""
        if first is None or first["last"]:
            return None if first is None else bytes(first["data"])
        data, part = [bytes(first["data"])], first
        while not part["last"]:
            found = self._frames.find_one({"_id": f"{first['_id'][:-6]}{len(data):06}"})
            if found is None:
                return None
            part = found
            data.append(bytes(part["data"]))
        return b"".join(data)

    @override
    @translated
    def day_heads(self, days: tuple[int, int] | None = None) -> list[DayHead]:
        first, last = days or EVERY_DAY
        found = self._days.find({"_id": {"$gte": first, "$lte": last}}, sort=[("_id", 1)])
        return [DayHead(each["_id"], each["version"], each["digest"], each["stamp"]) for each in found]

    @override
    @translated
    def day_frame(self, head: DayHead, name: str) -> bytes | None:
        return self._whole(self._frames.find_one({"_id": _part_id(f"d/{head.day}", head.stamp, name, 0)}))

    @override
    @translated
    def state(self) -> RollUpState:
        found = self._states.find_one({"_id": STATE}) or {}
        return RollUpState(found.get("resume_token"), found.get("exact_until"), found.get("rules", ""))

    @override
    @translated
    def set_state(self, state: RollUpState, owner: str) -> bool:
        fields = {"resume_token": state.resume_token, "exact_until": state.exact_until, "rules": state.rules}
        return self._states.update_one({"_id": STATE, "owner": owner}, {"$set": fields}).matched_count == 1

    @override
    @translated
    def take_lease(self, owner: str, now: datetime, until: datetime) -> bool:
        free = {"_id": STATE, "$or": [{"owner": owner}, {"lease_ends_at": {"$lte": now}}, {"lease_ends_at": None}]}
        try:
            self._states.update_one(free, {"$set": {"owner": owner, "lease_ends_at": until}}, upsert=True)
        except DuplicateKeyError:  # another owner has it
            return False
        return True

    @override
    @translated
    def free_since(self) -> datetime | None:
        found = self._states.find_one({"_id": STATE}, {"lease_ends_at": 1}) or {}
        moment: datetime | None = found.get("lease_ends_at")
        return moment

    @override
    @translated
    def release_lease(self, owner: str, now: datetime) -> None:
        self._states.update_one({"_id": STATE, "owner": owner}, {"$set": {"lease_ends_at": now}})

    @override
    @translated
    def follow_writes(
        self, resume_token: Any, on_changes: Callable[[Changes], bool], is_stopped: Callable[[], bool]
    ) -> bool:
        return follow(self._database, resume_token, on_changes, is_stopped)

    @override
    @translated
    def all_ranges(self) -> list[RangeKey]:
        ranges: list[RangeKey] = []
        for batch in itertools.count(1):
            last = self._sessions.find_one(
                {"batch": batch}, {"number": 1, "seal": 1}, sort=[("batch", -1), ("number", -1)]
            )
            if last is None:
                return ranges
            # A seal takes the number behind the last session of its batch.
            count = last["number"] - (1 if last.get("seal") else 0)
            ranges += [RangeKey(batch, first) for first in range(1, count + 1, RANGE_SESSIONS)]
        return ranges

    @override
    @translated_reads
    def events(self, key: RangeKey) -> Iterator[RawEvent]:
        query = {
            "_id": {
                "$gte": {"batch": key.batch, "number": key.first},
                "$lt": {"batch": key.batch, "number": key.last + 1},
            }
        }
        fields = {"type": 1, "created_at": 1, "payload": 1}
        with self._events.find(query, fields, sort=[("_id", 1)], batch_size=10_000) as found:
            for each in found:
                yield RawEvent(
                    each["_id"]["number"], each["type"], (each["created_at"] - _EPOCH) // _MILLISECOND, each["payload"]
                )


def _range_id(key: RangeKey) -> Document:
    return {"batch": key.batch, "first": key.first}


def _range_head(document: Document) -> RangeHead:
    key = RangeKey(document["_id"]["batch"], document["_id"]["first"])
    return RangeHead(
        key, document["version"], tuple(document["days"]), document["rules"], document["totals"], document["stamp"]
    )


def _range_owner(key: RangeKey) -> str:
    return f"r/{key.batch}/{key.first}"


def _part_id(owner: str, stamp: str, name: str, part: int) -> str:
    return f"{owner}/{stamp}/{name}/{part:06}"


def _of_owner(owner: str, stamp: str) -> Document:
    """The condition that selects the parts of one making of a row."""
    return {"_id": {"$gte": f"{owner}/{stamp}/", "$lt": f"{owner}/{stamp}0"}}


def _orphans(owner: str, stamp: str) -> Document:
    """The condition that selects the parts of makings of a row that never came to an end."""
    before = ObjectId.from_datetime(ObjectId(stamp).generation_time - ORPHAN_AGE)
    return {"_id": {"$gte": f"{owner}/", "$lt": f"{owner}/{before}"}}
