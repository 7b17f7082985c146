"""The log of promotions: which model version serves, which one served before, and by which order."""

from dataclasses import dataclass
from datetime import datetime

from clickstream.domain.errors import AlreadyExists, FailedPrecondition


@dataclass(frozen=True, slots=True)
class PromotionOrder:
    """An order, carried out once per request id: a version to promote or, without one, a rollback.

    One of the ids in `expected` must be promoted now ("" for no version); None means any.
    """

    request_id: str
    model_version_id: str = ""
    expected: frozenset[str] | None = None
    forced: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Promotion:
    """An entry of the log, counted from 1. A rollback returns to the entry number `previous`, 0 if there is none."""

    sequence: int
    model_version_id: str
    previous: int
    request_id: str
    rollback: bool
    forced: bool
    reason: str
    promoted_at: datetime

    def check_same(self, order: PromotionOrder) -> None:
        """Raises AlreadyExists unless an equal order made this entry."""
        target = order.model_version_id or self.model_version_id
        asked = (target, not order.model_version_id, order.forced, order.reason)
        if (self.model_version_id, self.rollback, self.forced, self.reason) != asked:
            raise AlreadyExists("CONTENT_CONFLICT", "request_id: taken by another promotion or rollback")


def next_entry(order: PromotionOrder, current: Promotion | None, previous: Promotion | None, at: datetime) -> Promotion:
    """The log's next entry, which carries out an order.

    Args:
        order: The order.
        current: The last entry; None if the log is empty.
        previous: The entry number `current.previous`; None if there is none.
        at: The time of the promotion.

    Raises:
        FailedPrecondition: another version is promoted than expected, or there is nothing to roll back to.
    """
    promoted = current.model_version_id if current else ""
    if order.expected is not None and promoted not in order.expected:
        raise FailedPrecondition("STATE_CONFLICT", f"{promoted or 'no model version'} serves")
    target, returns_to = order.model_version_id, current.sequence if current else 0
    if not target:
        if previous is None:
            raise FailedPrecondition("NOTHING_TO_ROLL_BACK", "no model version served before this one")
        target, returns_to = previous.model_version_id, previous.previous
    elif current is not None and target == promoted:
        returns_to = current.previous  # a rollback then still leads to another version
    return Promotion(
        sequence=current.sequence + 1 if current else 1,
        model_version_id=target,
        previous=returns_to,
        request_id=order.request_id,
        rollback=not order.model_version_id,
        forced=order.forced,
        reason=order.reason,
        promoted_at=at,
    )
