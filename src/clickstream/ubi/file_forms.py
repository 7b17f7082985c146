"""Reads the forms in which UBI documents come: one JSON object per line, whatever the file has.

Files may be compressed by gzip and may begin with a byte order mark. Besides lines, a file may be one JSON array, or
JSON objects that are printed over several lines; such a file is read as a whole.
"""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def lines_of(path: Path, advance: Callable[[int], None] = lambda size: None) -> Iterator[bytes]:
    """Yields the file's lines, each with at most one document.

    Args:
        path: The file.
        advance: Called with the bytes of the file that were read since.

    Raises:
        OSError: The file cannot be read, or is no whole gzip file.
    """
    with path.open("rb") as file:
        is_compressed = file.read(2) == _GZIP
        file.seek(0)
        if not is_compressed:
            yield from one_per_line(_counted(file, advance))
            return
        try:
            with gzip.open(file) as content:
                yield from one_per_line(content)
        except EOFError as error:
            raise OSError(f"{path} ends in the middle of a gzip stream") from error
        advance(path.stat().st_size)


def _counted(lines: Iterable[bytes], advance: Callable[[int], None]) -> Iterator[bytes]:
    for line in lines:
        advance(len(line))
        yield line


def one_per_line(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Makes of a JSON array, or of objects over several lines, one object per line; other lines stay as they are."""
    lines = iter(lines)
    for number, line in enumerate(lines):
        line = line.removeprefix(_BYTE_ORDER_MARK) if number == 0 else line
        if not line.strip():
            yield line
            continue
        if _begins_more_than_a_line(line):
            yield from _objects(b"".join(chain([line], lines)))
        else:
            yield line


def _begins_more_than_a_line(line: bytes) -> bool:
    """Whether the first line that is not blank begins an array, or an object that does not end on it."""
    text = line.strip()
    if text[:1] == b"[":
        return True
    return text == b"{"


def _objects(content: bytes) -> Iterator[bytes]:
    """The objects of an array, or those that follow each other. What is no JSON comes as the lines that it has."""
    decoder, text, place = json.JSONDecoder(), content.decode("utf-8", "surrogateescape"), 0
    while True:
        while place < len(text) and text[place] in " \t\r\n,[]":
            place += 1
        if place == len(text):
            return
        try:
            _, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            yield from text[place:].encode("utf-8", "surrogateescape").splitlines(keepends=True)
            return
        yield " ".join(text[place:end].splitlines()).encode("utf-8", "surrogateescape") + b"\n"
        place = end
