"""Readiness: the health name `readiness` is SERVING only while the store answers."""

import asyncio
from collections.abc import Callable

from clickstream.domain.signals import NoSignals, Signals
from clickstream.servicers.server import Server

# The pause between two questions to the store, and the time that the store has for an answer. Both are as short as
# the shortest usual period of a probe.
PERIOD_SECONDS = 1.0
ANSWER_SECONDS = 1.0
NO_SIGNALS = NoSignals()


async def keep_readiness(server: Server, ask_store: Callable[[], None], signals: Signals = NO_SIGNALS) -> None:
    """Asks the store once a period and publishes the answer, until it is cancelled.

    Args:
        server: Publishes the state in the health service.
        ask_store: Blocks; returns if the store takes calls, and raises otherwise. One question is asked at a
            time, in a thread: a store that does not answer costs one thread, not one a period.
        signals: Takes `store_up`.
    """
    question: asyncio.Task[None] | None = None
    while True:
        question = question or asyncio.create_task(asyncio.to_thread(ask_store))
        answered, _ = await asyncio.wait({question}, timeout=ANSWER_SECONDS)
        ready = bool(answered) and question.exception() is None
        server.set_ready(ready)
        signals.set("store_up", float(ready))
        if answered:
            question = None
        await asyncio.sleep(PERIOD_SECONDS)
