"""The promotion of what passed its gate."""

import logging
from collections.abc import Callable

from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.errors import ClickstreamError, ResourceExhausted, Unavailable
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.promotions import PromotionOrder

logger = logging.getLogger(__name__)

Promote = Callable[[ModelVersion, PromotionOrder], object]
"""Carries out the order to promote this version, as `models.promoting` does; blocks, and raises what that raises."""


class Promoter:
    """Promotes what passed its gate, for one worker. Blocks, and can be repeated by any number of workers at once."""

    def __init__(self, dao: ClickstreamDao, promote: Promote | None) -> None:
        self._dao = dao
        self._promote = promote  # None: people promote

    def look_after(self) -> None:
        """Promotes the next version that passed its gate, unless a version other than its parent serves.

        This is apart from the end of its run, and repeated until it is decided: a crash in between loses nothing, and
        a trainer that is away delays it.

        Raises:
            Unavailable, ResourceExhausted: The store or the trainer cannot say now.
        """
        version = self._dao.runs.promotion_due()
        if version is None:
            return
        if self._promote is not None:
            self._decide(self._promote, version)
        else:
            logger.info("%s passed its gate; not promoted: promote it with PromoteModel", version.model_version_id)
        self._dao.runs.promotion_decided(version.run_id)

    def _decide(self, promote: Promote, version: ModelVersion) -> None:
        order = PromotionOrder(
            request_id=f"run {version.run_id}",
            model_version_id=version.model_version_id,
            expected=frozenset({"", version.parent_model_version_id}),
            reason=version.gate_reason,
        )
        try:
            promote(version, order)
        except (Unavailable, ResourceExhausted):
            raise
        except ClickstreamError as error:
            logger.warning("%s is not promoted by itself: %s", version.model_version_id, error)
        except Exception:  # a defect of the trainer: to try again would not end
            logger.exception("%s is not promoted by itself", version.model_version_id)
