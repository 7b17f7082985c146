"""Folders that appear whole or not at all."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def write_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Makes a folder appear complete or not at all: filled beside its place, synced, then renamed.

    A folder that already stands there is replaced.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.parent / f".{folder.name}.{os.getpid()}.tmp"
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir()
        fill(beside)
        for path in [*beside.rglob("*"), beside]:
            sync(path)
        if folder.exists():
            shutil.rmtree(folder)
        beside.rename(folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def sync(path: Path) -> None:
    """Makes a file's content, or a folder's entries, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
