"""The files of `embed`: written batch by batch, taken up again after a break, complete when they appear."""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from clickstream.cli.files import replace, sync

# Seconds between two points to which a break goes back.
CHECKPOINT_SECONDS = 1.0
# Bytes of the header of a .npy file, which is written last: the number of rows is known at the end.
_HEADER_BYTES = 128
_COPY_ROWS = 8192


@dataclass(frozen=True, slots=True)
class Source:
    """What the vectors are a function of. A partial result of another source is not continued."""

    path: Path
    bytes: int
    modified_ns: int
    model_version_id: str
    template: str
    id_field: str

    @classmethod
    def of(cls, path: Path, model_version_id: str, template: str, id_field: str) -> Self:
        """The source with the file as it is now."""
        stat = path.stat()
        return cls(path, stat.st_size, stat.st_mtime_ns, model_version_id, template, id_field)


@dataclass(frozen=True, slots=True)
class EmbeddedBatch:
    """Items with their vectors: 32-bit floats, little-endian, one after the other; and the point behind them."""

    ids: Sequence[str]
    vectors: bytes
    dimensions: int
    end_offset: int
    end_line: int
    without_text: int
    bad_lines: int


@dataclass(slots=True)
class _Progress:
    """How far the items have been read, and what is written of them. It is on disk after the data that it counts."""

    offset: int = 0
    line: int = 0
    rows: int = 0
    dimensions: int = 0
    ids_bytes: int = 0
    without_text: int = 0
    bad_lines: int = 0


def result_files(out: Path) -> tuple[Path, ...]:
    """Every file of the complete result."""
    if out.suffix == ".npy":
        return out, out.with_suffix(".json"), out.with_suffix(".ids.jsonl")
    return (out,)


class Partial:
    """The part of the result that is done. A context in which `append` writes; then `finish` makes it appear.

    Beside `vectors.npy` lie, until then, `vectors.npy.partial` with the rows, `vectors.npy.partial.ids` and
    `vectors.npy.partial.json`, which says how many bytes of both count.
    """

    def __init__(self, out: Path, source: Source) -> None:
        """Takes up what lies there if it is of the same source, and removes it otherwise."""
        self.source = source
        self._out = out
        self._vectors = out.with_name(f"{out.name}.partial")
        self._ids = out.with_name(f"{out.name}.partial.ids")
        self._state = out.with_name(f"{out.name}.partial.json")
        resumed = self._resumed()
        if resumed is None:
            # At once: a later command of the old source would otherwise take our rows for its own.
            self.remove()
        self._progress = resumed or _Progress()
        self._checkpoint_at = 0.0
        self._open = contextlib.ExitStack()

    def _resumed(self) -> _Progress | None:
        try:
            state = json.loads(self._state.read_bytes())
            progress = _Progress(**state["progress"])
            whole = (
                self._vectors.stat().st_size >= _HEADER_BYTES + progress.rows * progress.dimensions * 4
                and self._ids.stat().st_size >= progress.ids_bytes
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return progress if whole and state["source"] == self._source_as_data() else None

    def _source_as_data(self) -> dict[str, Any]:
        return asdict(self.source) | {"path": str(self.source.path.resolve())}

    @property
    def rows(self) -> int:
        """Vectors that are written."""
        return self._progress.rows

    @property
    def dimensions(self) -> int:
        """Length of a vector; 0 before the first."""
        return self._progress.dimensions

    @property
    def offset(self) -> int:
        """Bytes of the items file that are processed."""
        return self._progress.offset

    @property
    def line(self) -> int:
        """Lines of the items file that are processed."""
        return self._progress.line

    @property
    def left_out(self) -> int:
        """Items without text, and lines that are not items."""
        return self._progress.without_text + self._progress.bad_lines

    def left_out_in_words(self) -> str:
        """The counts of items without text and of bad lines, in words."""
        return f"{self._progress.without_text:,} without text, {self._progress.bad_lines:,} lines that are not items"

    def __enter__(self) -> Self:
        self._out.parent.mkdir(parents=True, exist_ok=True)
        for path in (self._vectors, self._ids):
            path.touch()
        # What was written behind the last checkpoint is written again.
        self._vectors_file = self._open.enter_context(self._vectors.open("r+b"))
        self._ids_file = self._open.enter_context(self._ids.open("r+b"))
        self._vectors_file.truncate(_HEADER_BYTES + self.rows * self.dimensions * 4)
        self._ids_file.truncate(self._progress.ids_bytes)
        self._vectors_file.seek(0, 2)
        self._ids_file.seek(0, 2)
        self._checkpoint_at = time.monotonic() + CHECKPOINT_SECONDS
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._checkpoint()
        finally:
            self._open.close()

    def append(self, batch: EmbeddedBatch) -> None:
        """Writes a batch, which begins where the one before ended."""
        ids = "".join(json.dumps({"object_id": each}, ensure_ascii=False) + "\n" for each in batch.ids).encode()
        self._vectors_file.write(batch.vectors)
        self._ids_file.write(ids)
        progress = self._progress
        progress.offset, progress.line = batch.end_offset, batch.end_line
        progress.rows += len(batch.ids)
        progress.dimensions = batch.dimensions or progress.dimensions
        progress.ids_bytes += len(ids)
        progress.without_text += batch.without_text
        progress.bad_lines += batch.bad_lines
        if time.monotonic() >= self._checkpoint_at:
            self._checkpoint()

    def _checkpoint(self) -> None:
        for file, path in ((self._vectors_file, self._vectors), (self._ids_file, self._ids)):
            file.flush()
            sync(path)
        state = {"source": self._source_as_data(), "progress": asdict(self._progress)}
        replace(self._state, json.dumps(state, ensure_ascii=False).encode())
        self._checkpoint_at = time.monotonic() + CHECKPOINT_SECONDS

    def metadata(self) -> dict[str, Any]:
        """What a reader of the vectors must know: a search needs the same version for its queries."""
        return {
            "model_version_id": self.source.model_version_id,
            "item_template": self.source.template,
            "kind": "item",
            "rows": self.rows,
            "dimensions": self.dimensions,
            "items_without_text": self._progress.without_text,
            "bad_lines": self._progress.bad_lines,
        }

    def finish(self) -> None:
        """Makes the complete result appear in the place of an older one."""
        # First of all the old vectors go: they never stand beside the ids of others.
        self._out.unlink(missing_ok=True)
        if self._out.suffix == ".npy":
            self._finish_npy()
        else:
            self._finish_parquet()
        sync(self._out.parent)
        self._state.unlink()

    def _finish_npy(self) -> None:
        with self._vectors.open("r+b") as file:
            file.write(npy_header(self.rows, self.dimensions))
        sync(self._vectors)
        out, metadata, ids = result_files(self._out)
        replace(metadata, (json.dumps(self.metadata(), ensure_ascii=False) + "\n").encode())
        self._ids.replace(ids)
        self._vectors.replace(out)

    def _finish_parquet(self) -> None:
        from clickstream.cli.parquet import write_parquet

        beside = self._out.with_name(f"{self._out.name}.tmp")
        write_parquet(beside, self._groups(), self.dimensions, self.metadata())
        sync(beside)
        beside.replace(self._out)
        self._vectors.unlink()
        self._ids.unlink()

    def _groups(self) -> Iterator[tuple[list[str], bytes]]:
        """Ids and vectors, 8,192 rows at a time."""
        with self._vectors.open("rb") as vectors, self._ids.open("rb") as ids:
            vectors.seek(_HEADER_BYTES)
            while block := vectors.read(_COPY_ROWS * self.dimensions * 4):
                rows = len(block) // (self.dimensions * 4)
                yield [json.loads(next(ids))["object_id"] for _ in range(rows)], block

    def remove(self) -> None:
        """Removes what is there."""
        for path in (self._state, self._vectors, self._ids):
            path.unlink(missing_ok=True)


def npy_header(rows: int, dimensions: int) -> bytes:
    """The first 128 bytes of a .npy file of 32-bit floats, little-endian, row by row.

    Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, version 1.0.
    """
    described = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dimensions}), }}".encode()
    magic = b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little")
    return magic + described.ljust(_HEADER_BYTES - 11) + b"\n"
