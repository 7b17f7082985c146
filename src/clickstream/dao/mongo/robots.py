"""The list of robot verdicts in MongoDB: an entry's number is its key, so that one of two writers wins."""

import builtins
from collections.abc import Sequence, Set
from dataclasses import asdict
from typing import Any

from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError
from typing_extensions import override

from clickstream.dao.interface.robots import RobotDao, VerdictFilter
from clickstream.dao.mongo.connection import Document, MongoCollection, translated
from clickstream.domain.errors import Reason, Unavailable
from clickstream.domain.robots import RobotFinding, RobotVerdict, in_force

# People overrule a few times a day. This many lost races in a row mean another fault.
ATTEMPTS = 100
DUPLICATE_KEY = 11000


class MongoRobots(RobotDao):
    """`RobotDao` over `robot_verdicts` and `robot_days`."""

    def __init__(self, database: Database[Document]) -> None:
        self._verdicts: MongoCollection = database["robot_verdicts"]
        self._days: MongoCollection = database["robot_days"]

    @override
    @translated
    def newest(self) -> int:
        found = self._verdicts.find_one({}, {"_id": 1}, sort=[("_id", -1)])
        return found["_id"] if found else 0

    @override
    @translated
    def append(self, verdicts: Sequence[RobotVerdict], newest: int) -> bool:
        documents = [_document(each, newest + index) for index, each in enumerate(verdicts, 1)]
        try:
            if documents:
                self._verdicts.insert_many(documents)
        except BulkWriteError as error:
            if any(each["code"] != DUPLICATE_KEY for each in error.details.get("writeErrors", ())):
                raise
            return False
        return True

    @override
    @translated
    def order(self, verdict: RobotVerdict) -> tuple[RobotVerdict, bool]:
        for _ in range(ATTEMPTS):
            newest = self.newest()
            if found := self._verdicts.find_one({"request_id": verdict.request_id}):
                entry = _verdict(found)
                entry.check_same(verdict)
                return entry, False
            document = _document(verdict, newest + 1)
            try:
                self._verdicts.insert_one(document)
            except DuplicateKeyError:
                continue  # another entry, or this one's retry, came first: look again
            return _verdict(document), True
        raise Unavailable(Reason.STORE_UNAVAILABLE, "other verdicts kept coming first")

    @override
    @translated
    def list(self, wanted: VerdictFilter, before: int | None, limit: int) -> builtins.list[RobotVerdict]:
        query: Document = {"_id": {"$gt": 0} if before is None else {"$lt": before}}
        if wanted.user_id:
            query["user_id"] = wanted.user_id
        if wanted.day is not None:
            query["day"] = wanted.day
        return [_verdict(each) for each in self._verdicts.find(query, sort=[("_id", -1)], limit=limit)]

    @override
    @translated
    def last_undo(self, number: int) -> RobotVerdict | None:
        found = self._verdicts.find_one({"undoes_all": True, "_id": {"$lte": number}}, sort=[("_id", -1)])
        return _verdict(found) if found else None

    @override
    @translated
    def of_days(self, days: tuple[int, int], number: int) -> builtins.list[RobotVerdict]:
        return self._in_force({"day": {"$gte": days[0], "$lte": days[1]}}, number)

    @override
    @translated
    def of_users(self, user_ids: Set[str], number: int) -> builtins.list[RobotVerdict]:
        return self._in_force({"user_id": {"$in": sorted(user_ids)}}, number)

    def _in_force(self, query: Document, number: int) -> builtins.list[RobotVerdict]:
        if not number:
            return []
        undo = self.last_undo(number)
        numbers = {"$gt": undo.number if undo else 0, "$lte": number}
        found = map(_verdict, self._verdicts.find(query | {"_id": numbers}))
        return [*in_force(sorted(found, key=lambda each: each.number)).values()]

    @override
    @translated
    def judged(self, day: int) -> str:
        found = self._days.find_one({"_id": day})
        return found["stamp"] if found else ""

    @override
    @translated
    def set_judged(self, day: int, stamp: str) -> None:
        self._days.update_one({"_id": day}, {"$set": {"stamp": stamp}}, upsert=True)


def _document(verdict: RobotVerdict, number: int) -> Document:
    """Without what is absent: the indexes of requests and of undoing are sparse."""
    fields: dict[str, Any] = {**asdict(verdict), "number": None}
    if verdict.undoes_all:
        del fields["user_id"], fields["day"]
    kept = {name: value for name, value in fields.items() if value not in (None, "", False) or name == "robot"}
    return {"_id": number, **kept, "findings": [asdict(each) for each in verdict.findings]}


def _verdict(document: Document) -> RobotVerdict:
    fields = {name: value for name, value in document.items() if name != "_id"}
    findings = tuple(RobotFinding(**each) for each in fields.pop("findings"))
    return RobotVerdict(**{"user_id": "", "day": 0, **fields}, findings=findings, number=document["_id"])
