"""Files that survive a power cut."""

import os
from pathlib import Path


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
