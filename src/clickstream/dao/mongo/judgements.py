"""Judgements in MongoDB, keyed by the SHA-256 of their content: runs with equal judgements share one document."""

from bson import Binary
from typing_extensions import override

from clickstream.dao.interface.runs import JudgementDao
from clickstream.dao.mongo.connection import MongoCollection, translated


class MongoJudgements(JudgementDao):
    """`JudgementDao` over `judgements`."""

    def __init__(self, judgements: MongoCollection) -> None:
        self._judgements = judgements

    @override
    @translated
    def keep(self, sha256: str, content: bytes) -> None:
        self._judgements.update_one({"_id": sha256}, {"$setOnInsert": {"content": Binary(content)}}, upsert=True)

    @override
    @translated
    def get(self, sha256: str) -> bytes | None:
        document = self._judgements.find_one({"_id": sha256})
        return bytes(document["content"]) if document else None
