"""What every process of the service does: it says when it is up, and waits until it is told to stop."""

import asyncio
import os
import signal
import sys

from clickstream.app.settings import Settings


async def until_told_to_stop(settings: Settings) -> None:
    """Returns at SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    await stop.wait()
    if settings.ready_fd is None:
        say("draining")


def say_up(settings: Settings, address: str) -> None:
    """Says it to the supervisor, if there is one: that says it once for all of its processes."""
    if settings.ready_fd is None:
        say(f"listening on {address}")
    else:
        os.write(settings.ready_fd, b".")
        os.close(settings.ready_fd)


def say(line: str) -> None:
    """Says one line to whoever started the process."""
    print(line, file=sys.stderr, flush=True)
