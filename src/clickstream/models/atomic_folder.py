"""Folders that appear whole or not at all."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def write_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Writes a folder so that it appears complete or not at all, also after a crash or a power cut.

    Args:
        folder: Where the folder appears. A folder that is already there is replaced.
        fill: Writes the content into the empty folder that it is given, which is renamed afterwards. What it
            raises passes through, and then nothing is left behind.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.parent / f".{folder.name}.{os.getpid()}.tmp"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir()
        fill(unfinished)
        for path in [*unfinished.rglob("*"), unfinished]:
            sync(path)
        if folder.exists():
            shutil.rmtree(folder)
        unfinished.rename(folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def sync(path: Path) -> None:
    """Makes a file's content, or a folder's entries, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
