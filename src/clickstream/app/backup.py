"""Backup and restore of a data folder: its embedded MongoDB, its models and its checkpoints, in one tar file.

The file has the parts of the collections (`database/`), the files of models and checkpoints (`files/`) and last
`backup.json`, with the SHA-256 of all others: a file that was cut short has none, and is refused.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import IO, Any

from clickstream.app.settings import Settings
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.snapshot import Filling, answers, chained, filling, snapshot

MANIFEST = "backup.json"
FORMAT = 1
# What lies in a data folder beside MongoDB.
FOLDERS = ("models", "runs")
STAGING = ".backup-"
RESTORING = ".restoring"


@dataclass(slots=True)
class Account:
    """What a backup holds."""

    documents: dict[str, int] = field(default_factory=dict)
    files: int = 0
    bytes: int = 0
    taken_at: str = ""


class _Hashing(io.RawIOBase):
    """A file that hashes what is read of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self.sha256.update(content)
        return content


def back_up(settings: Settings, file: Path) -> Account:
    """Writes a backup of the data folder, whether a server runs on it or not.

    Raises:
        ValueError: MONGODB_URI is set, there are no data, or `file` exists or cannot be written.
        StartError: MongoDB cannot be read, or for longer than it keeps the history of one moment.
    """
    _refuse_own_mongodb(settings)
    data = settings.data_dir.absolute()
    if not (data / "mongodb" / "WiredTiger").exists():
        raise ValueError(f"there are no data of an embedded MongoDB in {data}: set CLICKSTREAM_DATA_DIR")
    if file.exists():
        raise ValueError(f"{file} exists already: a backup replaces no file")
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with _mongodb(settings, data) as uri, _private_tar(unfinished) as tar:
            account = _write(tar, uri, settings.database, data)
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        os.link(unfinished, file)  # refused if the file has appeared meanwhile
    except OSError as error:
        raise ValueError(f"{file} cannot be written: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return account


def _refuse_own_mongodb(settings: Settings) -> None:
    if settings.mongodb_uri:
        raise ValueError("MONGODB_URI is set: back your own MongoDB up with mongodump, as docs/backup.md says")


@contextlib.contextmanager
def _mongodb(settings: Settings, data: Path) -> Iterator[str]:
    """The address of the running server's MongoDB, or of one that is started for this alone."""
    mongo = EmbeddedMongo(data / "mongodb", settings.mongod_cache_gb)
    if answers(mongo.uri):
        yield mongo.uri
        return
    mongo.start()
    try:
        yield mongo.uri
    finally:
        mongo.stop()


@contextlib.contextmanager
def _private_tar(path: Path) -> Iterator[tarfile.TarFile]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        yield tar


def _write(tar: tarfile.TarFile, uri: str, database: str, data: Path) -> Account:
    account = Account(taken_at=datetime.now(UTC).isoformat(timespec="seconds"))
    members: dict[str, dict[str, Any]] = {}

    def add(name: str, size: int, content: IO[bytes], **more: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = size, 0o600, int(datetime.now(UTC).timestamp())
        hashing = _Hashing(content)
        tar.addfile(member, hashing)
        members[name] = {"sha256": hashing.sha256.hexdigest(), "size": size, **more}
        account.bytes += size

    with snapshot(uri, database) as at_one_moment:
        # Linked after the moment is chosen: every version that the database knows is in its folder by then.
        with _linked(data) as links:
            for name, number, part in chained(at_one_moment.parts()):
                path = f"database/{name}/{number:06}.bson"
                add(path, len(part.content), io.BytesIO(part.content), documents=part.documents)
                account.documents[name] = account.documents.get(name, 0) + part.documents
            for path_of_file in sorted(path for path in links.rglob("*") if path.is_file()):
                with path_of_file.open("rb") as content:
                    size = os.fstat(content.fileno()).st_size
                    add(f"files/{path_of_file.relative_to(links).as_posix()}", size, content)
                account.files += 1
        manifest = {
            "format": FORMAT,
            "clickstream": version("clickstream"),
            "schema_version": at_one_moment.schema_version,
            "taken_at": account.taken_at,
            "members": members,
        }
    encoded = json.dumps(manifest, indent=1).encode()
    member = tarfile.TarInfo(MANIFEST)
    member.size, member.mode = len(encoded), 0o600
    tar.addfile(member, io.BytesIO(encoded))
    return account


@contextlib.contextmanager
def _linked(data: Path) -> Iterator[Path]:
    """A folder with hard links to all finished files of models and checkpoints: they stay while they are replaced."""
    for old in data.glob(f"{STAGING}*"):
        if not Path(f"/proc/{old.name.removeprefix(STAGING)}").exists():
            shutil.rmtree(old, ignore_errors=True)
    links = data / f"{STAGING}{os.getpid()}"
    links.mkdir(0o700)
    try:
        for source in (path for name in FOLDERS for path in (data / name).rglob("*")):
            relative = source.relative_to(data)
            if source.is_symlink() or not source.is_file() or _is_unfinished(relative):
                continue
            (links / relative).parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # replaced at this moment, or a run that has just ended
                os.link(source, links / relative)
        yield links
    finally:
        shutil.rmtree(links, ignore_errors=True)


def _is_unfinished(path: Path) -> bool:
    return path.suffix == ".tmp" or any(part.startswith(".") and part.endswith(".tmp") for part in path.parts)


def restore(settings: Settings, file: Path) -> Account:
    """Fills an empty data folder from a backup: the folder has everything afterwards, or is as it was.

    Raises:
        ValueError: MONGODB_URI is set, the folder is not empty, or the file is no whole backup.
        StartError: MongoDB cannot be started or written, or the backup is of a newer version.
    """
    _refuse_own_mongodb(settings)
    data = settings.data_dir.absolute()
    if data.exists() and any(each.name != "lost+found" for each in data.iterdir()):
        raise ValueError(f"{data} is not empty: a restore replaces nothing, so name another CLICKSTREAM_DATA_DIR")
    if not file.is_file():
        raise ValueError(f"there is no file {file}")
    place = data / RESTORING
    place.mkdir(0o700, parents=True)
    try:
        try:
            with tarfile.open(file, "r:") as tar:
                account = _read(tar, settings, place)
        except (tarfile.TarError, EOFError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file} is no whole backup: {error}") from error
        for name in (*FOLDERS, "mongodb"):  # last what a server looks for
            if (place / name).exists():
                (place / name).rename(data / name)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return account


def _read(tar: tarfile.TarFile, settings: Settings, place: Path) -> Account:
    account = Account()
    found: dict[str, dict[str, Any]] = {}
    manifest: dict[str, Any] = {}
    mongo = EmbeddedMongo(place / "mongodb", settings.mongod_cache_gb)
    mongo.start()
    try:
        with filling(mongo.uri, settings.database, settings.store_timeout) as database:
            for member in tar:
                content = tar.extractfile(member)
                if content is None or manifest:
                    raise ValueError(f"it has {member.name}, which no backup has")
                if member.name == MANIFEST:
                    manifest = json.load(content)
                else:
                    found[member.name] = _restored(member, content, database, place, account)
            if not manifest or manifest["format"] != FORMAT:
                raise ValueError("it was cut short" if not manifest else f"its format {manifest['format']} is unknown")
            wrong = [
                name for name in {*found, *manifest["members"]} if found.get(name) != manifest["members"].get(name)
            ]
            if wrong:
                raise ValueError(f"{min(wrong)} is missing or damaged")
            account.taken_at = manifest["taken_at"]
            database.finish()
    finally:
        mongo.stop()
    return account


def _restored(
    member: tarfile.TarInfo, content: IO[bytes], database: Filling, place: Path, account: Account
) -> dict[str, Any]:
    """Writes one member where it belongs; returns its row of the manifest."""
    kind, *parts = PurePosixPath(member.name).parts
    account.bytes += member.size
    hashing = _Hashing(content)
    if kind == "database" and len(parts) == 2:
        documents = database.add(parts[0], hashing.read())
        account.documents[parts[0]] = account.documents.get(parts[0], 0) + documents
        return {"sha256": hashing.sha256.hexdigest(), "size": member.size, "documents": documents}
    if kind != "files" or parts[:1] not in ([name] for name in FOLDERS) or ".." in parts:
        raise ValueError(f"it has {member.name}, which no backup has")
    path = place.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as written:
        shutil.copyfileobj(hashing, written)
        written.flush()
        os.fsync(written.fileno())
    account.files += 1
    return {"sha256": hashing.sha256.hexdigest(), "size": member.size}
