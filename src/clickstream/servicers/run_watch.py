"""Watching training runs: however many watch one, the store is asked once per interval."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from embedding_studio.clickstream.v1 import training_service_pb2 as pb

from clickstream.contract.runs import run_message
from clickstream.domain.runs import ENDED, TrainingRun

WATCH_SECONDS = 0.5


class _Look(NamedTuple):
    response: pb.WatchTrainingRunResponse
    ended: bool


class RunWatch:
    """What a run's watchers see. `get` is called in a thread; what it raises ends the watches."""

    def __init__(self, get: Callable[[str], TrainingRun]) -> None:
        self._get = get
        self._looks: dict[str, asyncio.Task[_Look]] = {}

    async def changes(self, run_id: str) -> AsyncIterator[pb.WatchTrainingRunResponse]:
        """The run now and after changes, up to its end."""
        # The first look is the watcher's own: what was written before the call is seen.
        look, before = await self._look(run_id), None
        while True:
            if look.response != before:
                yield look.response
            if look.ended:
                return
            before = look.response
            await asyncio.sleep(WATCH_SECONDS)
            look = await self._shared_look(run_id)

    async def _shared_look(self, run_id: str) -> _Look:
        """A look that was begun within the last `WATCH_SECONDS`, by whichever watcher came first.

        It is never older than the watcher's own look before, which ended at least that long ago.
        """
        look = self._looks.get(run_id)
        if look is None:
            look = self._looks[run_id] = asyncio.create_task(self._look(run_id))
            # If all its watchers have gone meanwhile, nobody else looks at its error.
            look.add_done_callback(lambda done: done.cancelled() or done.exception())
            asyncio.get_running_loop().call_later(WATCH_SECONDS, self._looks.pop, run_id, None)
        # Shielded: a watcher that goes away takes nothing from the others.
        return await asyncio.shield(look)

    async def _look(self, run_id: str) -> _Look:
        run = await asyncio.to_thread(self._get, run_id)
        return _Look(pb.WatchTrainingRunResponse(run=run_message(run)), run.state in ENDED)
