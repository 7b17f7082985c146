"""The part that every process of the service shares: it reports that it is up, and waits for a signal to stop."""

import asyncio
import os
import signal
import sys

from clickstream.app.settings import Settings


async def until_stopped(settings: Settings) -> None:
    """Returns at SIGTERM, SIGINT or SIGHUP: each of them drains the process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(signum, stop.set)
    await stop.wait()
    if settings.ready_fd is None:
        say("draining")


def say_up(settings: Settings, address: str) -> None:
    """Reports that the process serves: to the supervisor's pipe if there is one, otherwise on stderr."""
    if settings.ready_fd is None:
        say(f"listening on {address}")
    else:
        os.write(settings.ready_fd, b".")
        os.close(settings.ready_fd)


def say(line: str) -> None:
    """Prints one line on stderr."""
    print(line, file=sys.stderr, flush=True)
