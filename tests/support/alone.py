"""Lets a test run alone although pytest-xdist runs tests in several processes."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def turn(folder: Path, alone: bool) -> Iterator[None]:
    """Waits until a test may run; on exit the next test may.

    A test that runs alone waits until every other has ended. The others run beside each other. Every test passes the
    gate one by one, so a test that waits to run alone is not overtaken. A process that dies frees its locks.

    Args:
        folder: Any folder that the processes of one test run share.
        alone: Whether no other test may run beside this one.
    """
    with (folder / "gate").open("w") as gate, (folder / "turn").open("w") as running:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(running, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            # Closing the file would not be enough: a child that was forked meanwhile shares the lock.
            # Unlocked explicitly: closing the file is not enough, as a child that was forked meanwhile shares the lock.
            fcntl.flock(running, fcntl.LOCK_UN)
