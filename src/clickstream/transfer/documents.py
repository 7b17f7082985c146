"""Splits files of JSON into documents, in any form in which search engines and dumps write them.

The forms are one document per line, several on a line, one over many lines, an array, or gzip of any of them. A file
is never in memory as a whole. What a line means besides its document (a `_bulk` action, an index name before a tab) is
the reader's business.
"""

import contextlib
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from clickstream.transfer.account import place_of

# A longer document is refused: no part of the contract is that large.
DOCUMENT_BYTES = 16 * 1024 * 1024
_CHUNK = 1024 * 1024
_MARK = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n,"
# A whole text, or a brace outside of texts; an open text ends the search.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}]|"', re.DOTALL)


def opened(path: Path) -> BinaryIO:
    """Opens a file to be read, through gzip if it begins like gzip.

    Raises:
        OSError: The file cannot be read.
    """
    file = path.open("rb", buffering=_CHUNK)
    start = file.read(2)
    file.seek(0)
    if start == b"\x1f\x8b":
        return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=file)), _CHUNK))
    return file


def documents(paths: Sequence[Path]) -> Iterator[tuple[int, bytes]]:
    """Yields every line or document of the files, with its place (see `place_of`).

    In a file of lines a whole line is yielded, whatever it contains; blank lines are left out. In the other forms a
    piece that is no object is yielded as it is, so that its reader can say so.

    Raises:
        OSError: A file cannot be read. Also where gzip is cut off or damaged.
    """
    for number, path in enumerate(paths):
        with contextlib.closing(opened(path)) as file:
            place = -1
            try:
                for line, text in split(file):
                    place = max(place + 1, place_of(number, line))
                    yield place, text
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise OSError(f"{path} is damaged or cut off: {error}") from error


def split(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yields (1-based line number, text) for each line, or for each document where the file is not one of lines."""
    first, blank = _first_line(file)
    start = first.strip()
    second = b""
    end = _end_of(start) if start.startswith(b"{") else 0
    if end is None:
        second = file.readline(DOCUMENT_BYTES)
    in_array = start.startswith(b"[") and start[1:].lstrip()[:1] in {b"{", b"]", b""}
    several = bool(end) and start[end:].lstrip().startswith(b"{")
    broken = second.strip() and not second.lstrip().startswith(b"{")
    if in_array or several or broken:
        offset = first.index(b"[") + 1 if in_array else 0
        yield from _scanned(file, first[offset:] + second, blank + 1)
        return
    number = blank
    for line in (first, second):
        if line:
            number += 1
            if line.strip():
                yield number, line
    # `readline` with a bound would cost as much as the parsing: the file's own iterator is bounded by its lines.
    for number, line in enumerate(file, start=number + 1):  # noqa: B020 -- goes on counting
        if line.startswith(_MARK):  # files that were put together by `cat`
            line = line[len(_MARK) :]
        if not line.isspace():
            yield number, line


def _first_line(file: BinaryIO) -> tuple[bytes, int]:
    """The first line that is not blank, without a byte order mark, and the number of lines before it."""
    blank = 0
    while line := file.readline(DOCUMENT_BYTES):
        line = line.removeprefix(_MARK)
        if line.strip():
            return line, blank
        blank += 1
    return b"", blank


def _scanned(file: BinaryIO, text: bytes, line: int) -> Iterator[tuple[int, bytes]]:
    """Yields the objects of a text that may break its lines anywhere; what stands between them is yielded, too."""
    buffer = text
    while True:
        start = len(buffer) - len(buffer.lstrip(_SPACE))
        line += buffer.count(b"\n", 0, start)
        buffer = buffer[start:]
        if not buffer:
            if not (buffer := file.read(_CHUNK)):
                return
            continue
        end = _end_of(buffer)
        while end is None and len(buffer) < DOCUMENT_BYTES and (more := file.read(max(_CHUNK, len(buffer)))):
            buffer += more
            end = _end_of(buffer)
        if end is None:  # cut off, or never closed
            yield line, buffer[:DOCUMENT_BYTES]
            return
        piece, buffer = buffer[:end], buffer[end:]
        if piece.strip() not in {b"[", b"]"}:
            yield line, piece
        line += piece.count(b"\n")


def _end_of(buffer: bytes) -> int | None:
    """Where the first piece ends: an object at its closing brace, another piece before the next object or line."""
    if not buffer.startswith(b"{"):
        found = re.search(rb"[\n{]|(?<=[\[\]])", buffer)
        return max(1, found.start()) if found else None
    depth = 0
    for token in _TOKEN.finditer(buffer):
        sign = token.group()
        if sign == b"{":
            depth += 1
        elif sign == b"}":
            depth -= 1
            if not depth:
                return token.end()
        elif sign == b'"':
            return None
    return None
