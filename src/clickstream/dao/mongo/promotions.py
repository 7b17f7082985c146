"""The log of promotions in MongoDB: an entry's number is its key, so that one of two writers wins."""

import builtins
from dataclasses import asdict
from datetime import datetime

from pymongo.errors import DuplicateKeyError
from typing_extensions import override

from clickstream.dao.interface.models import PromotionDao
from clickstream.dao.mongo.connection import Document, MongoCollection, translated
from clickstream.domain.errors import Reason, Unavailable
from clickstream.domain.promotions import Promotion, PromotionOrder, next_entry

# People and finished runs promote, a few times a day. This many lost races in a row mean another fault.
ATTEMPTS = 100


class MongoPromotions(PromotionDao):
    """`PromotionDao` over `model_promotions`."""

    def __init__(self, promotions: MongoCollection) -> None:
        self._promotions = promotions

    @override
    @translated
    def current(self) -> Promotion | None:
        return next(iter(self.list(None, 1)), None)

    @override
    @translated
    def list(self, before: int | None, limit: int) -> builtins.list[Promotion]:
        query: Document = {"_id": {"$gt": 0} if before is None else {"$lt": before}}
        return [_promotion(document) for document in self._promotions.find(query, sort=[("_id", -1)], limit=limit)]

    @override
    @translated
    def knows(self, request_id: str) -> bool:
        return self._promotions.find_one({"request_id": request_id}) is not None

    @override
    @translated
    def append(self, order: PromotionOrder, at: datetime) -> tuple[Promotion, bool]:
        for _ in range(ATTEMPTS):
            # The log's end is read before the request id. In the other order, this same order could be carried out in
            # between by its first attempt, and the retry would be refused because the log has changed.
            current = self.current()
            if found := self._promotions.find_one({"request_id": order.request_id}):
                promotion = _promotion(found)
                promotion.check_same(order)
                return promotion, False
            before = self._promotions.find_one({"_id": current.previous}) if current else None
            promotion = next_entry(order, current, _promotion(before) if before else None, at)
            document = asdict(promotion)
            try:
                self._promotions.insert_one({"_id": document.pop("sequence"), **document})
            except DuplicateKeyError:
                continue  # another order, or this one's retry, came first: look again
            return promotion, True
        raise Unavailable(Reason.STORE_UNAVAILABLE, "other promotions kept coming first")


def _promotion(document: Document) -> Promotion:
    rest = {name: value for name, value in document.items() if name != "_id"}
    return Promotion(sequence=document["_id"], **rest)
