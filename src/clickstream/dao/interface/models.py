"""Promotions in the store."""

from datetime import datetime
from typing import Protocol

from clickstream.domain.promotions import Promotion, PromotionOrder


class PromotionDao(Protocol):
    """The log of promotions; its last entry names the promoted model version."""

    def current(self) -> Promotion | None:
        """The last entry; None if nothing was ever promoted."""
        ...

    def list(self, before: int | None, limit: int) -> list[Promotion]:
        """Up to `limit` entries, the newest first, below sequence number `before` (None: from the last)."""
        ...

    def knows(self, request_id: str) -> bool:
        """Whether an order with this request id was carried out."""
        ...

    def append(self, order: PromotionOrder, at: datetime) -> tuple[Promotion, bool]:
        """Carries out an order, once per request id; returns its entry, and False if it was carried out before.

        Raises:
            FailedPrecondition: another version is promoted than expected, or nothing to roll back to.
            AlreadyExists: the request id was used for another order.
        """
        ...
