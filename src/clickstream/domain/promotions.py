"""The log of promotions: which model version serves, which one served before, and by which order."""

from dataclasses import dataclass
from datetime import datetime

from clickstream.domain.errors import AlreadyExists, FailedPrecondition, Reason

BASE = "base"
"""What a run that starts from the configured base model names. Where none is configured, the trainer has its own."""


@dataclass(frozen=True, slots=True)
class PromotionOrder:
    """An order, carried out once per request id: a version to promote or, without one, a rollback.

    One of the ids in `expected` must serve now ("" for no version); None means any. `behind` is the sequence number
    that the last entry of the log must have (0: there is none); None means any.
    """

    request_id: str
    model_version_id: str = ""
    expected: frozenset[str] | None = None
    forced: bool = False
    reason: str = ""
    behind: int | None = None


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
            raise AlreadyExists(Reason.CONTENT_CONFLICT, "request_id: taken by another promotion or rollback")


def next_entry(order: PromotionOrder, current: Promotion | None, previous: Promotion | None, at: datetime) -> Promotion:
    """The log's next entry, which carries out an order.

    Args:
        order: The order.
        current: The last entry; None if the log is empty.
        previous: The entry number `current.previous`; None if there is none.
        at: The time of the promotion.

    Raises:
        FailedPrecondition: Another version serves than expected, the log has grown, or there is nothing to roll back
            to.
    """
    promoted = current.model_version_id if current else ""
    if order.expected is not None and promoted not in order.expected:
        raise FailedPrecondition(
            Reason.STATE_CONFLICT, f"{promoted or 'no model version'} serves", {"serving_model_version_id": promoted}
        )
    if order.behind is not None and order.behind != (current.sequence if current else 0):
        raise FailedPrecondition(Reason.STATE_CONFLICT, f"another promotion came first: {promoted} serves")
    target, returns_to = order.model_version_id, current.sequence if current else 0
    if not target:
        if previous is None:
            raise FailedPrecondition(
                Reason.NOTHING_TO_ROLL_BACK, "no model version served before the one that serves now"
            )
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


def starting_model(named: str, configured: str, current: Promotion | None) -> str:
    """The model from which a run that is queued now starts.

    Args:
        named: What was asked for: a version, a folder, a name, or `base`. Empty: the version that serves or, if none
            does, the configured base model.
        configured: The configured base model; empty if none is.
        current: The last promotion; None if there is none.

    Returns:
        A version, a folder or a name, or `base` where no base model is configured.
    """
    if not named and current is not None:
        return current.model_version_id
    return (configured if named in ("", BASE) else named) or BASE
