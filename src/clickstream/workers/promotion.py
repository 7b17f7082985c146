"""The promotion of what passed its gate."""

import logging
from datetime import datetime

from clickstream.dao.interface import ClickstreamDao
from clickstream.errors import AlreadyExists, FailedPrecondition
from clickstream.promotions import PromotionOrder

logger = logging.getLogger(__name__)


def promote_improved(dao: ClickstreamDao, at: datetime) -> None:
    """Promotes a version that passed its gate, as long as nothing is promoted that it was not measured against.

    Apart from the end of its run, and asked again until it is decided: a crash in between loses nothing.
    """
    version = dao.runs.promotion_due()
    if version is None:
        return
    order = PromotionOrder(
        request_id=f"run {version.run_id}",
        model_version_id=version.model_version_id,
        expected=frozenset({"", version.parent_model_version_id}),
        reason=version.gate_reason,
    )
    try:
        dao.promotions.append(order, at)
    except (AlreadyExists, FailedPrecondition) as error:
        logger.warning("%s is not promoted by itself: %s", version.model_version_id, error)
    dao.runs.promotion_decided(version.run_id)
