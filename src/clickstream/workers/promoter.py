"""The promotion of what passed its gate."""

import logging
from collections.abc import Callable
from datetime import datetime

from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.errors import AlreadyExists, FailedPrecondition
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.promotions import PromotionOrder

logger = logging.getLogger(__name__)


class Promoter:
    """Promotes what passed its gate, for one worker. Blocks, and can be repeated by any number of workers at once."""

    def __init__(self, dao: ClickstreamDao, clock: Callable[[], datetime], *, by_itself: bool) -> None:
        self._dao = dao
        self._clock = clock
        self._by_itself = by_itself  # else people promote

    def look_after(self) -> None:
        """Decides about a version that passed its gate: promoted, if nothing else is that it was not measured against.

        Apart from the end of its run, and asked again until it is decided: a crash in between loses nothing.
        """
        version = self._dao.runs.promotion_due()
        if version is None:
            return
        if self._by_itself:
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
            logger.warning("%s is not promoted by itself: %s", version.model_version_id, error)
