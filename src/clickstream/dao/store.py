"""The whole store over one MongoDB database."""

from pymongo.database import Database

from clickstream.dao.batches import MongoBatches
from clickstream.dao.changes import MongoChanges
from clickstream.dao.events import MongoEvents
from clickstream.dao.improvement import MongoImprovement
from clickstream.dao.judgements import MongoJudgements
from clickstream.dao.mongo import Document, translated
from clickstream.dao.places import Places
from clickstream.dao.promotions import MongoPromotions
from clickstream.dao.runs import MongoRuns
from clickstream.dao.sessions import MongoSessions


class MongoDao:
    """`ClickstreamDao` over MongoDB."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database
        places = Places(database["sessions"])
        self.sessions = MongoSessions(database["sessions"], places)
        self.events = MongoEvents(database["session_events"], database["sessions"], database["training_pages"], places)
        self.batches = MongoBatches(database["session_batches"], database["sessions"], self.sessions)
        self.improvement = MongoImprovement(database["sessions_for_improvement"])
        self.runs = MongoRuns(database["training_runs"], database["curve_points"])
        self.judgements = MongoJudgements(database["judgements"])
        self.promotions = MongoPromotions(database["model_promotions"])
        self.changes = MongoChanges(database)

    @translated
    def ping(self) -> None:
        """See `ClickstreamDao`."""
        self._database.command("ping")
