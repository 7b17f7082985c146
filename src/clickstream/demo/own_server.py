"""The demo's own server process."""

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from clickstream.processes.parent_death import stop_with_parent

START = "listening on "
STOP_SECONDS = 60.0


class ServerFailedError(Exception):
    """The server did not start; the message is the end of its log."""


@contextlib.contextmanager
def own_server(data_dir: Path, listen: str) -> Iterator[str]:
    """Runs `clickstream serve` over an embedded MongoDB; yields its address and stops it at the end.

    The server also stops when this process is killed.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "server.log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "clickstream", "serve", "--listen", listen, "--data-dir", str(data_dir)]
        server = subprocess.Popen(
            command,
            stderr=output,
            stdin=subprocess.DEVNULL,
            preexec_fn=functools.partial(stop_with_parent, os.getpid()),
        )
    try:
        yield _address(server, log)
    finally:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _address(server: "subprocess.Popen[bytes]", log: Path) -> str:
    while True:
        lines = log.read_text().splitlines()
        for line in lines:
            if line.startswith(START):
                return line.removeprefix(START)
        if server.poll() is not None:
            raise ServerFailedError("\n".join(lines[-5:]) or f"ended with exit code {server.returncode}")
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.1)
