"""Counts of refusals in MongoDB: the hour comes first in a count's key, so that a window is one range of keys."""

from collections.abc import Mapping
from datetime import UTC, datetime

from typing_extensions import override

from clickstream.dao.interface.refusals import RefusalDao, RefusalKey
from clickstream.dao.mongo.connection import MongoCollection, translated
from clickstream.domain.quality import Refused


class MongoRefusals(RefusalDao):
    """`RefusalDao` over `refusals`."""

    def __init__(self, refusals: MongoCollection) -> None:
        self._refusals = refusals

    @override
    @translated
    def add(self, counts: Mapping[RefusalKey, int]) -> None:
        for key, count in counts.items():
            of = {"_id": f"{_sortable(key.hour)}/{key.reason}/{key.client}"}
            named = {"reason": key.reason, "client": key.client}
            self._refusals.update_one(of, {"$inc": {"count": count}, "$setOnInsert": named}, upsert=True)

    @override
    @translated
    def of(self, start: datetime, end: datetime) -> list[Refused]:
        first = start.replace(minute=0, second=0, microsecond=0)
        totals: dict[tuple[str, str], int] = {}
        for each in self._refusals.find({"_id": {"$gte": _sortable(first), "$lt": _sortable(end)}}):
            key = each["reason"], each["client"]
            totals[key] = totals.get(key, 0) + each["count"]
        found = [Refused(*key, count) for key, count in totals.items()]
        return sorted(found, key=lambda each: (-each.count, each.reason, each.client))


def _sortable(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
