"""The metrics of a process: what is counted, what is read at a scrape, and the port that shows it."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path

from clickstream.app.process import say
from clickstream.app.settings import Settings
from clickstream.credentials.pem import not_after
from clickstream.dao.group_commit import GroupCommit
from clickstream.domain.errors import StartError
from clickstream.domain.signals import NoSignals, Signals
from clickstream.servicers.refusal_counts import RefusalCounts
from clickstream.servicers.server import Listening, Server
from clickstream.servicers.telemetry import Telemetry
from clickstream.telemetry.listener import Probes, listening
from clickstream.telemetry.metrics import Metrics, Reading
from clickstream.trainer_client.channel import TrainerChannel

# A process is alive while its event loop ran within this time. It beats four times as often.
BEAT_SECONDS = 20.0
# The pause between two looks at the connection to the trainer.
TRAINER_SECONDS = 1.0


def metrics_of(settings: Settings) -> Metrics | None:
    """What keeps the figures; None if no port shows them."""
    return Metrics() if settings.metrics_listen else None


def telemetry_of(settings: Settings, metrics: Metrics | None) -> Telemetry:
    """What watches the calls of a process."""
    return Telemetry(counts=metrics is not None, slow_seconds=settings.slow_call or math.inf)


def signals_of(metrics: Metrics | None) -> Signals:
    """What the parts of a process count with."""
    return metrics or NoSignals()


@contextlib.asynccontextmanager
async def shown(settings: Settings, metrics: Metrics | None, is_ready: Callable[[], bool]) -> AsyncIterator[None]:
    """Shows the figures, and whether the process is alive and ready, until the block ends. Raises StartError."""
    if metrics is None:
        yield
        return
    beat = _Beat()
    task = asyncio.create_task(beat.go_on())
    try:
        with contextlib.ExitStack() as stack:
            try:
                probes = Probes(metrics.registry, beat.is_fresh, is_ready)
                address = stack.enter_context(listening(settings.metrics_listen, probes))
            except (OSError, ValueError) as error:
                raise StartError(f"metrics cannot be shown on {settings.metrics_listen}: {error}") from error
            if settings.ready_fd is None:
                say(f"metrics on http://{address}/metrics")
            yield
    finally:
        task.cancel()


class _Beat:
    """Shows that the event loop runs."""

    def __init__(self) -> None:
        self._at = time.monotonic()

    async def go_on(self) -> None:
        while True:
            self._at = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS / 4)

    def is_fresh(self) -> bool:
        return time.monotonic() - self._at < BEAT_SECONDS


def read_server(
    metrics: Metrics | None, telemetry: Telemetry, server: Server, listenings: Iterable[Listening] = ()
) -> None:
    """Adds the figures of a gRPC server's calls, and of its certificates."""
    if metrics is None:
        return

    def read() -> Iterator[Reading]:
        yield Reading("calls_in_hand", server.in_hand)
        yield Reading("open_streams", server.open_streams)
        for reason, count in telemetry.refused.items():
            yield Reading("refused_calls", count, {"reason": reason})
        for door, each in zip(("public", "internal"), listenings, strict=False):
            if each.certificate is not None:
                with contextlib.suppress(ValueError):  # a broken file is counted elsewhere
                    end = not_after(each.certificate.files[0]).timestamp()
                    yield Reading("certificate_not_after_timestamp_seconds", end, {"door": door})

    metrics.calls(lambda: telemetry.calls)
    metrics.read(read)


def read_writes(metrics: Metrics | None, commit: GroupCommit, refusals: RefusalCounts) -> None:
    """Adds the figures of the writes of sessions and events."""
    if metrics is None:
        return

    def read() -> Iterator[Reading]:
        yield Reading("write_queue_bytes", commit.waiting_bytes)
        yield Reading("write_queue_limit_bytes", commit.max_waiting_bytes)
        for reason, count in dict(refusals.totals).items():
            yield Reading("refused_items", count, {"reason": reason})
        for outcome, count in dict(refusals.outcomes).items():
            yield Reading("events", count, {"outcome": outcome})

    metrics.read(read)


async def watch_trainer(channel: Callable[[], TrainerChannel | None], signals: Signals) -> None:
    """Says once a second whether the trainer can be reached, until it is cancelled."""
    while True:
        found = channel()
        signals.set("trainer_up", float(found is not None and found.is_connected()))
        await asyncio.sleep(TRAINER_SECONDS)


def socket_of(folder: Path, process: str) -> Path:
    """The socket on which a process of a supervised server shows its figures to the supervisor."""
    return folder / f"{process}.sock"
