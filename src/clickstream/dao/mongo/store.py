"""The whole store over one MongoDB database."""

from contextlib import AbstractContextManager

import pymongo
from pymongo.database import Database

from clickstream.dao.mongo.analytics import MongoAnalytics
from clickstream.dao.mongo.batches import MongoBatches
from clickstream.dao.mongo.changes import MongoChanges
from clickstream.dao.mongo.connection import Document, translated
from clickstream.dao.mongo.events import MongoEvents
from clickstream.dao.mongo.identity import Reconnects, StoreIdentity
from clickstream.dao.mongo.improvement import MongoImprovement
from clickstream.dao.mongo.judgements import MongoJudgements
from clickstream.dao.mongo.promotions import MongoPromotions
from clickstream.dao.mongo.refusals import MongoRefusals
from clickstream.dao.mongo.robots import MongoRobots
from clickstream.dao.mongo.runs import MongoRuns
from clickstream.dao.mongo.session_places import Places
from clickstream.dao.mongo.sessions import MongoSessions
from clickstream.dao.mongo.training_pages import TrainingPages
from clickstream.domain.errors import Reason, Unavailable
from clickstream.domain.signals import NoSignals, Signals

NO_SIGNALS = NoSignals()


class MongoDao:
    """`ClickstreamDao` over MongoDB."""

    def __init__(
        self, database: Database[Document], signals: Signals = NO_SIGNALS, reconnects: Reconnects | None = None
    ) -> None:
        """Takes the database; `reconnects` hears of the lost connections of its client."""
        self._database = database
        self._identity = StoreIdentity(database, reconnects or Reconnects())
        places = Places(database["sessions"])
        self._identity.when_lost(places.forget)
        self.sessions = MongoSessions(database["sessions"], places, self._identity)
        pages = TrainingPages(database["training_pages"], database["sessions"])
        self.events = MongoEvents(database["session_events"], pages, places, self._identity)
        self.batches = MongoBatches(database["session_batches"], database["sessions"], self.sessions)
        self.improvement = MongoImprovement(database["sessions_for_improvement"])
        self.runs = MongoRuns(database["training_runs"], database["curve_points"])
        self.judgements = MongoJudgements(database["judgements"])
        self.promotions = MongoPromotions(database["model_promotions"])
        self.changes = MongoChanges(database, signals)
        self.analytics = MongoAnalytics(database)
        self.robots = MongoRobots(database)
        self.refusals = MongoRefusals(database["refusals"])

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Bounds the reads of a block, all together: beyond it they raise Unavailable."""
        return pymongo.timeout(seconds)

    @translated
    def ping(self) -> None:
        """Returns if the store can take writes; otherwise raises Unavailable."""
        check_writable(self._database)
        self._identity.confirm()


@translated
def check_writable(database: Database[Document]) -> None:
    """Returns if MongoDB takes writes; otherwise raises Unavailable."""
    # A `ping` would be answered by a secondary, too, if the URI names that member directly.
    if not database.command("hello").get("isWritablePrimary"):
        raise Unavailable(Reason.STORE_UNAVAILABLE, "MongoDB is no primary and takes no writes")
