"""What the benchmarks share: pinning, processes, memory, statistics and the table."""

import contextlib
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

START = "listening on "


def header(*packages: str) -> str:
    """The machine and the versions that were measured."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return f"{os.cpu_count()} CPUs, Python {platform.python_version()}, {versions}."


def median_and_spread(values: Sequence[float]) -> str:
    """`median (lowest to highest)` in whole numbers."""
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def write_table(path: Path, title: str, text: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A page of Markdown: the title, one table, and the text beneath it."""
    lines = [columns, ["---"] * len(columns), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# {title}\n\n{table}\n\n{text}\n")


def pin(pid: int, core: int) -> None:
    """Keeps every thread of a process (0: this one) on one core."""
    for thread in Path(f"/proc/{pid or os.getpid()}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.sched_setaffinity(int(thread.name), {core})


def peak_memory(pid: int) -> float:
    """The most memory that a process has had so far, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"process {pid} has no memory")


def resident_memory(pid: int) -> float:
    """The memory that a process holds, in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def serving_processes(parent: int) -> list[int]:
    """The pids of the serving processes that a `clickstream serve --processes` runs."""
    children = [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    return [pid for pid in children if b"\0serve\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def server_process(core: int | None, *command: str, **environment: str) -> Iterator[tuple[str, int]]:
    """Runs `python *command` until the block ends; yields the address that it tells, and its pid.

    It is kept on one core, unless that is None: it sees to it itself.
    """
    process = subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE, env=os.environ | environment)
    try:
        if core is not None:
            pin(process.pid, core)
        yield _address(process), process.pid
    finally:
        process.terminate()
        process.wait()


def _address(process: "subprocess.Popen[bytes]") -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(START.encode()):
            return line.decode().removeprefix(START).strip()
    raise RuntimeError(f"{process.args!r} did not start")
