"""Copies a whole database as it was at one moment, and fills an empty database with such a copy."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import pymongo
from bson import BSON, CodecOptions, decode_all
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from clickstream.dao.mongo.connection import Document, connect
from clickstream.dao.mongo.identity import IDENTITY, META
from clickstream.dao.mongo.schema import prepare_schema
from clickstream.domain.errors import StartError

# Bytes of one part, or a little more: what is in memory at once.
PART_BYTES = 8 * 1024 * 1024
DOCUMENTS_AT_ONCE = 1_000
# Codes of the server: the moment lies before the history that it keeps, or a collection was changed since.
SNAPSHOT_TOO_OLD, SNAPSHOT_UNAVAILABLE = 239, 246
RAW: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)
PING_SECONDS = 3


class Part(NamedTuple):
    """Whole documents of one collection, in BSON, one behind the other, as `mongodump` writes them."""

    collection: str
    documents: int
    content: bytes


class Snapshot:
    """A database as it was at one moment."""

    def __init__(self, client: "pymongo.MongoClient[Document]", name: str) -> None:
        """Chooses the moment: now. Raises StartError if MongoDB keeps no history."""
        self._database = client[name]
        self._names = sorted(self._database.list_collection_names())
        self._session = client.start_session(snapshot=True)
        with _explained():
            meta = self._database[META].find_one({"_id": "schema"}, session=self._session)
        self.schema_version = (meta or {}).get("version")

    def parts(self) -> Iterator[Part]:
        """All documents of all collections. Raises StartError if reading takes longer than MongoDB keeps history."""
        for name in self._names:
            with _explained():
                raw: Collection[Any] = self._database.get_collection(name, RAW)
                found = raw.find({}, session=self._session)
                content, count = bytearray(), 0
                for document in found:
                    content += document.raw
                    count += 1
                    if len(content) >= PART_BYTES:
                        yield Part(name, count, bytes(content))
                        content, count = bytearray(), 0
            yield Part(name, count, bytes(content))


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OperationFailure as error:
        if error.code in (SNAPSHOT_TOO_OLD, SNAPSHOT_UNAVAILABLE):
            raise StartError(
                "the copy took longer than MongoDB keeps the history of its data, so it is not of one moment: "
                "try again while less is written, or to a faster disk"
            ) from error
        raise StartError(f"MongoDB cannot be read: {error.details or error}") from error
    except PyMongoError as error:
        raise StartError(f"MongoDB cannot be read: {type(error).__name__}") from error


def answers(uri: str) -> bool:
    """Whether a MongoDB answers there."""
    with pymongo.MongoClient[Document](uri, serverSelectionTimeoutMS=PING_SECONDS * 1000) as client:
        try:
            return bool(client.admin.command("ping"))
        except PyMongoError:
            return False


@contextlib.contextmanager
def snapshot(uri: str, name: str) -> Iterator[Snapshot]:
    """The database of this name as it is now. Raises StartError."""
    with pymongo.MongoClient[Document](uri) as client:
        yield Snapshot(client, name)


class Filling:
    """Fills an empty database with the parts of a copy."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database
        prepare_schema(database)

    def add(self, collection: str, content: bytes) -> int:
        """Writes the documents of one part; returns how many. Raises StartError."""
        try:
            documents = decode_all(content, RAW)
            for first in range(0, len(documents), DOCUMENTS_AT_ONCE):
                some = documents[first : first + DOCUMENTS_AT_ONCE]
                if collection == META:
                    for each in some:
                        self._database[META].replace_one({"_id": each["_id"]}, BSON(each.raw).decode(), upsert=True)
                else:
                    self._database[collection].insert_many(some, ordered=False)
        except (BulkWriteError, PyMongoError, ValueError) as error:
            raise StartError(f"the documents of {collection} cannot be written: {type(error).__name__}") from error
        return len(documents)

    def finish(self) -> None:
        """Makes the copy a store of its own, and brings it to this version's schema. Raises StartError."""
        # A new id: processes that served the old store must not take this one for it.
        self._database[META].delete_one({"_id": IDENTITY})
        prepare_schema(self._database)


@contextlib.contextmanager
def filling(uri: str, name: str, timeout: float) -> Iterator[Filling]:
    """Fills the empty database of this name."""
    with connect(uri, timeout) as client:
        yield Filling(client[name])


def chained(parts: Iterator[Part]) -> Iterator[tuple[str, int, Part]]:
    """The parts with their collection and their number within it, from 0."""
    for name, of_collection in itertools.groupby(parts, key=lambda part: part.collection):
        for number, part in enumerate(of_collection):
            yield name, number, part
