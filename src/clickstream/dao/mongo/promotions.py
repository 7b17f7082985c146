"""The log of promotions in MongoDB: an entry's number is its key, so that of two writers one wins."""

import builtins
from dataclasses import asdict
from datetime import datetime

from pymongo.errors import DuplicateKeyError

from clickstream.dao.mongo.connection import Document, MongoCollection, translated
from clickstream.domain.errors import Reason, Unavailable
from clickstream.domain.promotions import Promotion, PromotionOrder, following

# People and finished runs promote, a few a day; this many losses in a row mean something else is wrong.
ATTEMPTS = 100


class MongoPromotions:
    """`PromotionDao` over `model_promotions`."""

    def __init__(self, promotions: MongoCollection) -> None:
        self._promotions = promotions

    @translated
    def current(self) -> Promotion | None:
        """See `PromotionDao`."""
        return next(iter(self.list(None, 1)), None)

    @translated
    def list(self, before: int | None, limit: int) -> builtins.list[Promotion]:
        """See `PromotionDao`."""
        query: Document = {"_id": {"$gt": 0} if before is None else {"$lt": before}}
        return [_promotion(document) for document in self._promotions.find(query, sort=[("_id", -1)], limit=limit)]

    @translated
    def knows(self, request_id: str) -> bool:
        """See `PromotionDao`."""
        return self._promotions.find_one({"request_id": request_id}) is not None

    @translated
    def append(self, order: PromotionOrder, at: datetime) -> tuple[Promotion, bool]:
        """See `PromotionDao`."""
        for _ in range(ATTEMPTS):
            # The end before the id: were it looked up first, the same order could come in between, and its
            # retry would be refused for what it did itself.
            current = self.current()
            if found := self._promotions.find_one({"request_id": order.request_id}):
                promotion = _promotion(found)
                promotion.check_same(order)
                return promotion, False
            before = self._promotions.find_one({"_id": current.previous}) if current else None
            promotion = following(order, current, _promotion(before) if before else None, at)
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
