"""Watches training runs: all watchers of a run together ask the store once per interval."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from embedding_studio.clickstream.v1 import training_service_pb2 as pb

from clickstream.contract.runs import run_message
from clickstream.domain.runs import ENDED, TrainingRun

WATCH_SECONDS = 0.5


class _Look(NamedTuple):
    """A run as one read of the store found it; `ended` says whether it can still change."""

    response: pb.WatchTrainingRunResponse
    ended: bool


class RunWatch:
    """Shows each run to all of its watchers. For one event loop."""

    def __init__(self, get: Callable[[str], TrainingRun]) -> None:
        """Takes `get`, which reads a run by its id. It is called in a thread; its errors end the watches."""
        self._get = get
        self._looks: dict[str, asyncio.Task[_Look]] = {}

    async def changes(self, run_id: str) -> AsyncIterator[pb.WatchTrainingRunResponse]:
        """Yields the run as it is now, and again after each change, until it has ended."""
        # A look of its own, not a shared one: it shows everything that was written before the call.
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
        """A look that began within the last `WATCH_SECONDS`, for whichever watcher asked first.

        It is newer than the watcher's look before it, which ended at least `WATCH_SECONDS` ago.
        """
        look = self._looks.get(run_id)
        if look is None:
            look = self._looks[run_id] = asyncio.create_task(self._look(run_id))
            # Takes the error of a look whose watchers have gone; otherwise asyncio logs it as never retrieved.
            look.add_done_callback(lambda done: done.cancelled() or done.exception())
            asyncio.get_running_loop().call_later(WATCH_SECONDS, self._looks.pop, run_id, None)
        # Shielded: one watcher's cancellation must not cancel the look of the others.
        return await asyncio.shield(look)

    async def _look(self, run_id: str) -> _Look:
        run = await asyncio.to_thread(self._get, run_id)
        return _Look(pb.WatchTrainingRunResponse(run=run_message(run)), run.state in ENDED)
