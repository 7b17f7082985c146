"""Readiness: the health name `readiness` is SERVING only while the store answers."""

import asyncio
from collections.abc import Callable

from clickstream.servicers.server import Server

# The pause between two questions to the store, and the time that the store has for an answer. Both are as short as
# the shortest usual period of a probe.
PERIOD_SECONDS = 1.0
ANSWER_SECONDS = 1.0


async def keep_readiness(server: Server, ask_store: Callable[[], None]) -> None:
    """Asks the store once a period and publishes the answer, until it is cancelled.

    Args:
        server: Publishes the state in the health service.
        ask_store: Blocks; returns if the store takes calls, and raises otherwise. One question is asked at a
            time, in a thread: a store that does not answer costs one thread, not one a period.
    """
    question: asyncio.Task[None] | None = None
    while True:
        question = question or asyncio.create_task(asyncio.to_thread(ask_store))
        answered, _ = await asyncio.wait({question}, timeout=ANSWER_SECONDS)
        server.set_ready(bool(answered) and question.exception() is None)
        if answered:
            question = None
        await asyncio.sleep(PERIOD_SECONDS)
