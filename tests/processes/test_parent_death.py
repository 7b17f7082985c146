"""A child process that stops when its parent dies."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.servers import wait_for

from clickstream.processes.parent_death import stop_with_parent

# Starts a child that would run for an hour, names it, and waits to be killed.
PARENT = """
import functools, os, subprocess, time
from clickstream.processes.parent_death import stop_with_parent
child = subprocess.Popen(["sleep", "3600"], preexec_fn=functools.partial(stop_with_parent, os.getpid()))
print(child.pid, flush=True)
time.sleep(3600)
"""


def is_running(pid: int) -> bool:
    """Whether a process runs: it exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_stops_when_its_parent_is_killed() -> None:
    """The kernel ends the child of a parent that got SIGKILL."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.kill()
    wait_for(lambda: not is_running(child))


@pytest.mark.parametrize(("parent", "code"), [(os.getpid(), 0), (0, 1)], ids=["alive", "dead"])
def test_a_child_whose_parent_died_before_it_began_ends_at_once(parent: int, code: int) -> None:
    """A child runs its program only if the process that started it is still its parent."""
    child = subprocess.run(["true"], check=False, preexec_fn=functools.partial(stop_with_parent, parent))
    assert child.returncode == code
