"""Collections and indexes of the MongoDB store."""

from typing import Any

from pymongo.database import Database
from pymongo.errors import CollectionInvalid, OperationFailure

from clickstream.dao.mongo.connection import Document

NAMESPACE_EXISTS = 48

# The collections' indexes: collection → (name, keys, options). MongoDB itself indexes `_id`.
INDEXES: dict[str, list[tuple[str, list[tuple[str, int]], dict[str, Any]]]] = {
    "sessions": [
        # The fence of the append scheme: a number is taken once, and pages are read in its order.
        ("batch_number", [("batch", 1), ("number", 1)], {"unique": True}),
        ("release_id", [("release_id", 1)], {"unique": True, "partialFilterExpression": {"seal": True}}),
    ],
    "session_batches": [
        ("status", [("status", 1), ("_id", -1)], {}),
        ("status_changed", [("status", 1), ("changed_at", 1)], {}),
    ],
    "sessions_for_improvement": [
        ("queued", [("queued_at", 1), ("_id", 1)], {}),
        ("state_queued", [("state", 1), ("queued_at", 1), ("_id", 1)], {}),
        ("run_queued", [("run_id", 1), ("queued_at", 1), ("_id", 1)], {}),
        ("due", [("state", 1), ("not_before", 1), ("_id", 1)], {}),
        ("lease_ends_at", [("lease_ends_at", 1)], {"sparse": True}),
    ],
    "training_runs": [
        ("queued", [("queued_at", -1), ("_id", -1)], {}),
        ("state_queued", [("state", 1), ("queued_at", -1), ("_id", -1)], {}),
        ("available_at", [("available_at", 1)], {}),
        ("batches", [("batches", 1), ("queued_at", -1), ("_id", -1)], {}),
        ("model_version", [("model_version.model_version_id", 1)], {"unique": True, "sparse": True}),
        ("versions", [("model_version.created_at", -1), ("_id", -1)], {}),
        ("improved", [("model_version.promoted", 1), ("model_version.created_at", -1), ("_id", -1)], {}),
        ("promotion_due", [("promotion_due", 1)], {"sparse": True}),
        # The fence of the improvement queue: its runs are one after another.
        ("improving", [("improving", 1)], {"unique": True, "sparse": True}),
    ],
    "model_promotions": [("request_id", [("request_id", 1)], {"unique": True})],
}


def prepare_schema(database: Database[Document]) -> None:
    """Creates the missing collections and indexes. Several processes may do it at once."""
    try:
        # Clustered by key: no second index is written, and a page of events is one sequential read.
        database.create_collection("session_events", clusteredIndex={"key": {"_id": 1}, "unique": True})
    except CollectionInvalid:
        pass  # the driver found the collection
    except OperationFailure as error:
        if error.code != NAMESPACE_EXISTS:  # another process made it a moment ago
            raise
    create_indexes(database)


def create_indexes(database: Database[Document]) -> None:
    """Creates the missing indexes of every collection."""
    for name, indexes in INDEXES.items():
        for index_name, keys, options in indexes:
            database[name].create_index(keys, name=index_name, **options)
