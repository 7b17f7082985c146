"""The part that every process of the service shares: it reports that it is up, and waits for a signal to stop."""

import asyncio
import logging
import os
import signal
import sys

from clickstream.app.settings import Settings
from clickstream.telemetry.logs import is_json, log_as_json

logger = logging.getLogger(__name__)


async def until_stopped(settings: Settings, *addresses: str) -> None:
    """Announces that the process is up, and returns at SIGTERM, SIGINT or SIGHUP: each of them drains it.

    The announcement names the addresses on which it listens, the internal one last.

    The announcement goes to the supervisor's pipe if there is one, otherwise to stderr. A signal that follows it at
    once is not missed.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(signum, stop.set)
    if settings.ready_fd is None:
        say(f"listening on {' and internally on '.join(addresses)}" if addresses else "working")
    else:
        os.write(settings.ready_fd, b".")
        os.close(settings.ready_fd)
    await stop.wait()
    if settings.ready_fd is None:
        say("draining")


def say(line: str) -> None:
    """Writes one line to stderr: of the log, where that is JSON."""
    if is_json():
        logger.info("%s", line)
    else:
        print(line, file=sys.stderr, flush=True)


def prepare_log(settings: Settings) -> None:
    """Gives the log the format that the settings name. Call it before anything is logged."""
    if settings.log_format == "json":
        log_as_json()
