"""Counts of refusals in MongoDB."""

from collections.abc import Mapping
from datetime import datetime

from pymongo import UpdateOne
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
        writes = [
            UpdateOne({"_id": key._asdict()}, {"$inc": {"count": count}}, upsert=True) for key, count in counts.items()
        ]
        if writes:
            self._refusals.bulk_write(writes, ordered=False)

    @override
    @translated
    def of(self, start: datetime, end: datetime) -> list[Refused]:
        first = start.replace(minute=0, second=0, microsecond=0)
        query = {"_id": {"$gte": {"hour": first}, "$lt": {"hour": end}}}
        totals: dict[tuple[str, str], int] = {}
        for each in self._refusals.find(query):
            key = each["_id"]["reason"], each["_id"]["client"]
            totals[key] = totals.get(key, 0) + each["count"]
        return sorted(
            (Refused(*key, count) for key, count in totals.items()), key=lambda each: (-each.count, each.reason)
        )
