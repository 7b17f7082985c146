"""Files that survive a power cut."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from clickstream.cli.connection import end
from clickstream.cli.exit_codes import ExitCode


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Ends the command in one line where `path` or a file beside it cannot be written: the disk is full, say."""
    try:
        yield
    except OSError as error:
        end(f"{path} cannot be written: {error.filename or ''} {error.strerror or error}", ExitCode.WRONG_USE)


def sync(path: Path) -> None:
    """Makes the content of a file, or the entries of a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, content: bytes) -> None:
    """Gives a file this content, at once and for good: a reader sees the old content or the new."""
    beside = path.with_name(f"{path.name}.tmp")
    beside.write_bytes(content)
    sync(beside)
    beside.replace(path)
