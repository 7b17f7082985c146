"""Running processes and their connections, as /proc shows them."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc

# Number of channels that `clients` opens.
CLIENTS = 20


def children(parent: int, command: bytes = b"") -> list[int]:
    """The pids of a process's children, or of those with this word on their command line."""
    pids = [int(pid) for task in Path(f"/proc/{parent}/task").glob("*/children") for pid in task.read_text().split()]
    return [pid for pid in pids if not command or command in command_line(pid)]


def take_ctrl_c() -> None:
    """Lets Ctrl-C reach a child, as its `preexec_fn`: where the tests run in the background, SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def command_line(pid: int) -> list[bytes]:
    """The words that a process was started with; none if it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return []


def is_alive(pid: int) -> bool:
    """Whether the process exists and has not ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def processor_seconds(pid: int) -> float:
    """Seconds of processor time of all threads of the process so far, user and system mode together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connections(pid: int, address: str) -> int:
    """The number of clients of this address that are connected to this very process."""
    port = f":{int(address.rpartition(':')[2]):04X}"
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()]
    established = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(port) and row[3] == "01"}
    count = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            count += os.readlink(descriptor) in established
    return count


@contextlib.contextmanager
def clients(address: str) -> Iterator[list[grpc.Channel]]:
    """Channels, each with a connection of its own."""
    with contextlib.ExitStack() as stack:
        options = [("grpc.use_local_subchannel_pool", 1)]
        yield [stack.enter_context(grpc.insecure_channel(address, options=options)) for _ in range(CLIENTS)]
