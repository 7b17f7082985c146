"""What the service needs of a store. Two implementations: MongoDB, and the in-memory fake of the tests.

Every method blocks, may be called from any thread unless it says otherwise, and raises `errors.Unavailable`
when the store does not answer. A write whose method has returned is durable. Times are in UTC. Callers
must not change what a method returns.
"""

from typing import Protocol

from clickstream.dao.interface.analytics import AnalyticsDao
from clickstream.dao.interface.batches import BatchDao
from clickstream.dao.interface.changes import ChangeDao
from clickstream.dao.interface.improvement import ImprovementDao
from clickstream.dao.interface.models import PromotionDao
from clickstream.dao.interface.refusals import RefusalDao
from clickstream.dao.interface.robots import RobotDao
from clickstream.dao.interface.runs import JudgementDao, RunDao
from clickstream.dao.interface.sessions import EventDao, SessionDao


class ClickstreamDao(Protocol):
    """A store, by concern."""

    @property
    def sessions(self) -> SessionDao:
        """Sessions."""
        ...

    @property
    def events(self) -> EventDao:
        """Events."""
        ...

    @property
    def batches(self) -> BatchDao:
        """Batches."""
        ...

    @property
    def improvement(self) -> ImprovementDao:
        """The improvement queue."""
        ...

    @property
    def runs(self) -> RunDao:
        """Training runs and model versions."""
        ...

    @property
    def judgements(self) -> JudgementDao:
        """Judgements by people."""
        ...

    @property
    def promotions(self) -> PromotionDao:
        """The log of promotions."""
        ...

    @property
    def changes(self) -> ChangeDao:
        """Changes that mean work for workers."""
        ...

    @property
    def analytics(self) -> AnalyticsDao:
        """Roll-ups for figures."""
        ...

    @property
    def robots(self) -> RobotDao:
        """Robot verdicts."""
        ...

    @property
    def refusals(self) -> RefusalDao:
        """Counts of what was refused."""
        ...

    def ping(self) -> None:
        """Returns if the store can take writes; otherwise raises Unavailable."""
        ...
