"""Collections and indexes of the MongoDB store."""

from typing import Any

from pymongo.database import Database
from pymongo.errors import CollectionInvalid, OperationFailure

from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.identity import ensure_identity
from clickstream.dao.mongo.migrations import migrate
from clickstream.domain.errors import StartError

NAMESPACE_EXISTS = 48
# Kept in `clickstream_meta`. It rises with every change that an older version could not read.
SCHEMA_VERSION = 1

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
        ("gate_passed", [("model_version.gate_passed", 1), ("model_version.created_at", -1), ("_id", -1)], {}),
        ("promotion_due", [("promotion_due", 1)], {"sparse": True}),
        # The fence of the improvement queue: its runs are one after another.
        ("open_improvement_run", [("open_improvement_run", 1)], {"unique": True, "sparse": True}),
    ],
    # Roll-ups: derived rows, which an older version ignores.
    "rollup_ranges": [("days", [("days", 1)], {})],
    # The list's numbers are its keys; an older version applies no verdict.
    "robot_verdicts": [
        ("request_id", [("request_id", 1)], {"unique": True, "sparse": True}),
        ("user", [("user_id", 1), ("_id", 1)], {"sparse": True}),
        ("day", [("day", 1), ("_id", 1)], {"sparse": True}),
        ("undoes_all", [("undoes_all", 1), ("_id", -1)], {"partialFilterExpression": {"undoes_all": True}}),
    ],
    "model_promotions": [("request_id", [("request_id", 1)], {"unique": True})],
}


def prepare_schema(database: Database[Document]) -> None:
    """Creates the missing collections and indexes, and writes the schema version into an empty database.

    Data of an older schema version are migrated.

    Several processes may run it at once.

    Raises:
        StartError: The database has a newer schema version, or data from before 0.2.0, which carry none.
    """
    migrate(database, _check_version(database), SCHEMA_VERSION)
    ensure_identity(database)
    try:
        # Clustered by key: no second index is written, and a page of events is one sequential read.
        database.create_collection("session_events", clusteredIndex={"key": {"_id": 1}, "unique": True})
    except CollectionInvalid:
        pass  # the driver found the collection
    except OperationFailure as error:
        if error.code != NAMESPACE_EXISTS:  # another process made it a moment ago
            raise
    create_indexes(database)


def _check_version(database: Database[Document]) -> int:
    # In this order: a process that prepares an empty database writes its version before it creates a
    # collection, so collections without a version are old ones.
    collections = {*INDEXES, "session_events"}.intersection(database.list_collection_names())
    meta = database["clickstream_meta"]
    schema = meta.find_one({"_id": "schema"})
    if schema is None and collections:
        raise StartError(
            f"the database {database.name} holds data from before version 0.2.0, which this version cannot read: "
            "name another one in CLICKSTREAM_DATABASE, or another data folder"
        )
    if schema is None:
        meta.update_one({"_id": "schema"}, {"$setOnInsert": {"version": SCHEMA_VERSION}}, upsert=True)
        schema = meta.find_one({"_id": "schema"}) or {}
    version = schema.get("version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise StartError(
            f"the database {database.name} has no schema version that can be read in clickstream_meta: restore that "
            "collection from a backup, or name another database in CLICKSTREAM_DATABASE"
        )
    if version > SCHEMA_VERSION:
        raise StartError(
            f"the database {database.name} has schema version {version}, and this version knows "
            f"{SCHEMA_VERSION} at most: it was used by a newer clickstream, so upgrade this one"
        )
    return version


def create_indexes(database: Database[Document]) -> None:
    """Creates the missing indexes of every collection."""
    for name, indexes in INDEXES.items():
        for index_name, keys, options in indexes:
            database[name].create_index(keys, name=index_name, **options)
