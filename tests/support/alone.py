"""Lets a test run with nothing beside it, though pytest-xdist runs the others in several processes."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def turn(folder: Path, alone: bool) -> Iterator[None]:
    """Waits until a test may run, and says when it has ended.

    A test that runs alone waits for the end of every other; the others run beside each other. A test that
    waits takes the gate first, so that a test that runs alone is not overtaken for ever. A process that dies leaves
    its turn.

    Args:
        folder: where the processes of one test run meet; any folder that they share.
        alone: whether nothing may run beside this test.
    """
    with (folder / "gate").open("w") as gate, (folder / "turn").open("w") as running:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(running, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            # Unlocked explicitly: closing the file is not enough, as a child that was forked meanwhile shares the lock.
            fcntl.flock(running, fcntl.LOCK_UN)
