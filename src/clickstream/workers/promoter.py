"""The promotion of model versions that passed their gate."""

import logging
from collections.abc import Callable
from datetime import datetime

from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.errors import AlreadyExists, FailedPrecondition
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.promotions import PromotionOrder

logger = logging.getLogger(__name__)


class Promoter:
    """Decides on the promotion of versions that passed their gate. Blocks; any number of workers may do it at once.

    Args:
        dao: The store.
        clock: The current time, in UTC.
        automatic: Whether to promote; otherwise people do, and each version counts as decided.
    """

    def __init__(self, dao: ClickstreamDao, clock: Callable[[], datetime], *, automatic: bool) -> None:
        self._dao = dao
        self._clock = clock
        self._automatic = automatic

    def run_once(self) -> None:
        """Promotes the next version that passed its gate, unless a version other than its parent is promoted.

        A separate step from finishing the run, repeated until decided, so a crash between the two loses nothing.
        """
        version = self._dao.runs.promotion_due()
        if version is None:
            return
        if self._automatic:
            self._promote(version)
        self._dao.runs.promotion_decided(version.run_id)

    def _promote(self, version: ModelVersion) -> None:
        order = PromotionOrder(
            request_id=f"run {version.run_id}",
            model_version_id=version.model_version_id,
            expected=frozenset({"", version.parent_model_version_id}),
            reason=version.gate_reason,
        )
        try:
            self._dao.promotions.append(order, self._clock())
        except (AlreadyExists, FailedPrecondition) as error:
            logger.warning("%s is not promoted automatically: %s", version.model_version_id, error)
