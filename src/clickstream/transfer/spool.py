"""A spool on disk: documents go in as the files have them, and come out search by search.

The memory of an import is bounded by this spool, an SQLite file, whatever the size of the files. Kept in a file of the
user's (`--state`), it is also where an import goes on that was killed.
"""

import contextlib
import hashlib
import json
import marshal
import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

# What marshal can write: it is several times faster than any other way, and read back by the same Python alone.
Plain = tuple[Any, ...]

_TABLES = """
CREATE TABLE documents(place INTEGER PRIMARY KEY, search BLOB, record BLOB);
CREATE TABLE keys(place INTEGER PRIMARY KEY, document BLOB, digest BLOB);
CREATE TABLE items(object_id TEXT PRIMARY KEY, texts TEXT) WITHOUT ROWID;
CREATE TABLE state(name TEXT PRIMARY KEY, value TEXT);
"""
_ORDER = """
CREATE TABLE repeats AS
  SELECT place, digest = first AS same FROM (
    SELECT place, digest, first_value(digest) OVER same_id AS first, row_number() OVER same_id AS number FROM keys
    WINDOW same_id AS (PARTITION BY document ORDER BY place)
  ) WHERE number > 1;
CREATE UNIQUE INDEX repeated ON repeats(place);
CREATE TABLE firsts(search BLOB PRIMARY KEY, first INTEGER) WITHOUT ROWID;
INSERT INTO firsts SELECT search, min(place) FROM documents GROUP BY search;
DROP TABLE keys;
"""
_SORTED = """
SELECT first, place, record, (SELECT same FROM repeats WHERE repeats.place = documents.place)
FROM documents CROSS JOIN firsts USING (search) WHERE first > ? ORDER BY first, place
"""
# Rows of one insert, and object ids that are known to have texts.
_ROWS = 500
_KNOWN = 200_000
_LOOKED_UP = 500


@dataclass(frozen=True, slots=True)
class Spooled:
    """A document of a search. `same` says of a repeated document whether its content is that of the first."""

    place: int
    record: Plain
    same: bool | None


def key_of(*parts: str) -> bytes:
    """A key of 16 bytes for an id; texts with the same parts have the same key."""
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Spool:
    """Documents on disk, from their reading to the answer of the server. One process uses it at a time."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        # What a killed process has written is in the system's hands; a power cut may cost the import, never a session.
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("PRAGMA cache_size = -24000")
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        if not self._database.execute("SELECT 1 FROM sqlite_master").fetchone():
            self._database.executescript(_TABLES)
        self._documents: list[tuple[int, bytes, bytes]] = []
        self._keys: list[tuple[int, bytes, bytes]] = []
        self._items: list[tuple[str, str]] = []
        self._known: set[str] = set()
        self._database.execute("BEGIN")

    def close(self) -> None:
        """Closes the file; what was not committed is lost."""
        self._database.close()

    def add(self, place: int, search: bytes, document: bytes, digest: bytes, record: Plain) -> None:
        """Keeps a document: its search, its own id, a digest of its content, and what is needed of it later."""
        self._documents.append((place, search, marshal.dumps(record)))
        self._keys.append((place, document, digest))
        if len(self._documents) == _ROWS:
            self._write()

    def add_item(self, object_id: str, texts: Mapping[str, str]) -> None:
        """Keeps the texts of an item, if it has none yet."""
        if object_id in self._known:
            return
        if len(self._known) == _KNOWN:
            self._known.clear()
        self._known.add(object_id)
        self._items.append((object_id, json.dumps(texts, ensure_ascii=False)))

    def _write(self) -> None:
        if not self._documents and not self._items:
            return
        self._database.executemany("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", self._documents)
        self._database.executemany("INSERT OR REPLACE INTO keys VALUES (?, ?, ?)", self._keys)
        self._database.executemany("INSERT OR IGNORE INTO items VALUES (?, ?)", self._items)
        self._documents.clear()
        self._keys.clear()
        self._items.clear()

    def commit(self, **state: Any) -> None:
        """Keeps what was added, and these values for `state`, whatever happens to the process from now on."""
        self._write()
        rows = [(name, json.dumps(value)) for name, value in state.items()]
        self._database.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", rows)
        self._database.execute("COMMIT")
        self._database.execute("BEGIN")

    def state(self, name: str) -> Any:
        """A value that was committed under this name; None if there is none."""
        row = self._database.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def sort(self) -> None:
        """Ends the adding: finds repeated documents, and where each search begins."""
        self._write()
        for statement in _ORDER.split(";"):
            self._database.execute(statement)
        self.commit(sorted=True)

    @property
    def documents(self) -> int:
        """The number of documents."""
        return int(self._database.execute("SELECT count(*) FROM documents").fetchone()[0])

    def searches(self, after: int = -1) -> Iterator[tuple[int, list[Spooled]]]:
        """Yields the documents of each search in their order, with its first place; searches by their first places.

        Args:
            after: Leaves out the searches that begin at this place or before.
        """
        rows = self._database.execute(_SORTED, (after,))
        for first, group in groupby(rows, key=lambda row: row[0]):
            yield (
                first,
                [
                    Spooled(place, marshal.loads(record), None if same is None else bool(same))
                    for _, place, record, same in group
                ],
            )

    def items(self, object_ids: Iterable[str]) -> dict[str, dict[str, str]]:
        """The texts of those items that have any."""
        ids = list(object_ids)
        found: dict[str, dict[str, str]] = {}
        for start in range(0, len(ids), _LOOKED_UP):
            part = ids[start : start + _LOOKED_UP]
            rows = self._database.execute(
                f"SELECT object_id, texts FROM items WHERE object_id IN ({','.join('?' * len(part))})", part
            )
            found |= {object_id: json.loads(texts) for object_id, texts in rows}
        return found


@contextlib.contextmanager
def spooling(paths: Sequence[Path], options: str, kept_at: Path | None) -> Iterator[Spool]:
    """A spool for an import of these files: a temporary one, or the one of the same import that was cut off.

    Args:
        paths: The files of the import.
        options: What else decides how they are read.
        kept_at: Where the spool is kept until the import has gone through, and deleted then. None: a temporary file.

    Raises:
        OSError: A file cannot be read, or the spool cannot be written.
    """
    if kept_at is None:
        with (
            tempfile.TemporaryDirectory(prefix="clickstream-import-") as folder,
            contextlib.closing(Spool(Path(folder) / "spool")) as spool,
        ):
            yield spool
        return
    identity = json.dumps([sys.version, options, [_identity(path) for path in paths]])
    with contextlib.ExitStack() as stack:
        try:
            spool = stack.enter_context(contextlib.closing(Spool(kept_at)))
            same = spool.state("identity") == identity
        except sqlite3.DatabaseError as error:
            raise OSError(f"{kept_at} is not the state of an import, or another import uses it: {error}") from error
        if not same:
            if spool.documents or spool.state("identity"):
                raise OSError(f"{kept_at} is the state of an import of other files: delete it, or name another file")
            spool.commit(identity=identity)
        yield spool
        # Reached only if the import ended by itself.
        if spool.state("finished"):
            spool.close()
            os.unlink(kept_at)


def _identity(path: Path) -> list[Any]:
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]
