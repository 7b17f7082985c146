"""The schema version: what a database carries, and which databases are refused."""

from concurrent.futures import ThreadPoolExecutor

import pymongo
import pytest
from pymongo.database import Database
from support.builders import new_id

from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.schema import SCHEMA_VERSION, prepare_schema
from clickstream.domain.errors import StartError


def test_an_empty_database_gets_the_version_and_is_taken_again(database: Database[Document]) -> None:
    """The first start writes the schema version; the next one finds it and changes nothing."""
    prepare_schema(database)
    first = list(database["clickstream_meta"].find(sort=[("_id", 1)]))
    assert first == [{"_id": "schema", "version": SCHEMA_VERSION}, {"_id": "store", "id": first[1]["id"]}]
    prepare_schema(database)
    assert list(database["clickstream_meta"].find(sort=[("_id", 1)])) == first


def test_a_newer_database_is_refused(database: Database[Document]) -> None:
    """A database that a newer version used is refused in one line that names both versions."""
    database["clickstream_meta"].update_one({"_id": "schema"}, {"$set": {"version": SCHEMA_VERSION + 1}})
    with pytest.raises(StartError, match=rf"schema version {SCHEMA_VERSION + 1}.*knows {SCHEMA_VERSION} at most") as no:
        prepare_schema(database)
    assert "\n" not in str(no.value)


@pytest.mark.parametrize("document", [{}, *({"version": value} for value in ("2", None, 0, True, [1]))])
def test_a_version_that_cannot_be_read_is_refused(database: Database[Document], document: Document) -> None:
    """A schema version that is no number from 1 on is refused in one line, and stays as it is."""
    database["clickstream_meta"].replace_one({"_id": "schema"}, document)
    with pytest.raises(StartError, match=r"no schema version that can be read") as no:
        prepare_schema(database)
    assert "\n" not in str(no.value)
    assert database["clickstream_meta"].find_one({"_id": "schema"}) == {"_id": "schema"} | document


@pytest.mark.parametrize("collection", ["sessions", "session_events", "training_runs"])
def test_data_from_before_the_first_version_are_refused(
    mongo_client: pymongo.MongoClient[Document], collection: str
) -> None:
    """Collections without a schema version were written before 0.2.0: refused in one line, and left as they are."""
    old = mongo_client[new_id("test")]
    old[collection].insert_one({"_id": "s-1"})
    with pytest.raises(StartError, match=r"before version 0\.2\.0.*CLICKSTREAM_DATABASE") as no:
        prepare_schema(old)
    assert "\n" not in str(no.value)
    assert old.list_collection_names() == [collection]
    mongo_client.drop_database(old.name)


def test_processes_that_start_together_on_an_empty_database_all_start(
    mongo_client: pymongo.MongoClient[Document],
) -> None:
    """None of eight starts at once takes the others' collections for old data."""
    for _ in range(5):
        name = new_id("test")
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda name: prepare_schema(mongo_client[name]), [name] * 8))
        assert mongo_client[name]["clickstream_meta"].count_documents({}) == 2
        mongo_client.drop_database(name)
