"""The files of a model folder: listed with their checksums, and read from any point."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clickstream.domain import limits
from clickstream.domain.errors import FieldViolation, InvalidArgument


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of a model folder.

    `name` is its path within the folder, with `/`; `size` is in bytes; `sha256` is hexadecimal.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a file: `data` begins at byte `offset`."""

    file_name: str
    offset: int
    data: bytes


class ModelFiles:
    """Reads the files of a model folder that no longer changes.

    Every method blocks, and needs the memory of one chunk (`limits.MODEL_CHUNK_BYTES`).
    """

    def __init__(self, folder: Path) -> None:
        """Reads all files once for their checksums. `self.sha256` is over all files, in the order of their names."""
        self._folder = folder
        self.files: list[ModelFile] = []
        whole = hashlib.sha256()
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest, size = hashlib.sha256(), 0
            for data in _read(path, 0):
                digest.update(data)
                whole.update(data)
                size += len(data)
            self.files.append(ModelFile(path.relative_to(folder).as_posix(), size, digest.hexdigest()))
        self.sha256 = whole.hexdigest()
        self.total_bytes = sum(file.size for file in self.files)

    def chunks(self, file_name: str, offset: int) -> Iterator[Chunk]:
        """All bytes from a point on, through all files that follow.

        Args:
            file_name: The file in which to start; empty for the first one.
            offset: The byte of that file at which to start, 0 without a file name.

        Raises:
            InvalidArgument: There is no such file, or the offset lies outside of it.
        """
        names = [file.name for file in self.files]
        if file_name and file_name not in names:
            raise InvalidArgument([FieldViolation("file_name", "is not a file of this model version")])
        start = names.index(file_name) if file_name else 0
        if not 0 <= offset <= (self.files[start].size if file_name else 0):
            raise InvalidArgument([FieldViolation("offset", "does not lie within the named file")])
        return self._chunks(start, offset)

    def _chunks(self, start: int, offset: int) -> Iterator[Chunk]:
        for file in self.files[start:]:
            for data in _read(self._folder / file.name, offset):
                yield Chunk(file.name, offset, data)
                offset += len(data)
            offset = 0


def _read(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while data := file.read(limits.MODEL_CHUNK_BYTES):
            yield data
