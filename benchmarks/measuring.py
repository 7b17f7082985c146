"""Shared by the benchmarks: child processes, CPU pinning, memory, statistics and the result table."""

import contextlib
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

# A server prints this and its address on stderr when it is ready.
LISTENING = "listening on "


def machine_and_versions(*packages: str) -> str:
    """One sentence: CPU count, Python version and the versions of the packages."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return f"{os.cpu_count()} CPUs, Python {platform.python_version()}, {versions}."


def median_and_spread(values: Sequence[float], digits: int = 0) -> str:
    """`median (lowest to highest)` with this number of decimals."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """The interval that contains the true median with a probability of at least 95 %, whatever the distribution.

    Its ends are two of the values: it leaves out equally many at both ends, and as many as possible.

    Raises:
        ValueError: there are fewer than 6 values.
    """
    count = len(values)
    # It misses the median if at most `cut` values lie on one side of it: each does with a probability of 1/2.
    cuts = [
        cut
        for cut in range(count // 2)
        if 2 * sum(math.comb(count, lying) for lying in range(cut + 1)) <= 0.05 * 2**count
    ]
    if not cuts:
        raise ValueError("a median's interval takes at least 6 values")
    ordered = sorted(values)
    return ordered[cuts[-1]], ordered[-1 - cuts[-1]]


def write_table(path: Path, title: str, text: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Writes a page of Markdown: the title, one table, and the text below it."""
    lines = [columns, ["---"] * len(columns), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# {title}\n\n{table}\n\n{text}\n")


def pin(pid: int, core: int) -> None:
    """Pins every thread of a process (0: this process) to one core."""
    for thread in Path(f"/proc/{pid or os.getpid()}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # the thread has just ended
            os.sched_setaffinity(int(thread.name), {core})


def peak_memory(pid: int) -> float:
    """Peak resident memory of a process so far (`VmHWM`), in MiB.

    Raises:
        LookupError: the process has ended.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"process {pid} has ended: it has no VmHWM")


def resident_memory(pid: int) -> float:
    """Resident memory of a process now, in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def serving_processes(parent: int) -> list[int]:
    """The pids of the serving processes below a `clickstream serve --processes`."""
    children = [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    return [pid for pid in children if b"\0serve\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def cpu_seconds(pid: int) -> float:
    """User and system CPU time of a process and its ended threads so far, in seconds.

    Raises:
        OSError: the process has ended.
    """
    # The process's CPU clock counts nanoseconds; /proc counts hundredths of a second. Linux computes its id so
    # (clock_getcpuclockid), and Python has no function for that.
    return time.clock_gettime(~pid << 3 | 2)


@contextlib.contextmanager
def server_process(core: int | None, *command: str, **environment: str) -> Iterator[tuple[str, int]]:
    """Runs `python *command` until the block ends; yields the server's address and pid.

    The server's stderr goes on to ours.

    Args:
        core: the core to pin the process to; None leaves pinning to the process.
        command: the arguments of Python.
        environment: variables added to ours.

    Raises:
        RuntimeError: the process ended before it printed its address.
    """
    process = subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE, env=os.environ | environment)
    try:
        if core is not None:
            pin(process.pid, core)
        yield _wait_for_address(process), process.pid
    finally:
        process.terminate()
        process.wait()


def _wait_for_address(process: "subprocess.Popen[bytes]") -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(LISTENING.encode()):
            # A full pipe would block the server, so a thread empties it.
            threading.Thread(target=shutil.copyfileobj, args=(process.stderr, sys.stderr.buffer), daemon=True).start()
            return line.decode().removeprefix(LISTENING).strip()
        sys.stderr.buffer.write(line)
    raise RuntimeError(f"{process.args!r} did not start")
