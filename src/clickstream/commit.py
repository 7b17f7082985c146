"""Group commit: the one write path of sessions and events.

What arrives while a write runs goes out together as the next write. One write is in flight
per process and no timer delays it: a lone request waits for nobody, and a hundred share one
round trip to the store. Two writes in flight would make the groups smaller and halve the rate.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from clickstream.dao.interface import ClickstreamDao
from clickstream.errors import ResourceExhausted
from clickstream.sessions import Appended, EventPush, SessionDraft, StoredEvent

# What one event or session costs beside its payload: objects, keys, the future.
OVERHEAD_BYTES = 1_000
# One group: large enough for full throughput (insert_many gains nothing beyond some thousand
# documents), small enough that a caller waits for little more than its own work.
GROUP_BYTES = 8 * 1024 * 1024


class _Write(NamedTuple):
    content: SessionDraft | EventPush
    size: int
    done: "asyncio.Future[Any]"


class GroupCommit:
    """Collects writes of one event loop, in which it is made, and sends them in groups.

    Within a group sessions go first, so that events may follow their session at once. An
    error of one item reaches its own caller only.
    """

    def __init__(self, dao: ClickstreamDao, *, max_waiting_bytes: int) -> None:
        self._dao = dao
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting: deque[_Write] = deque()
        self._waiting_bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="group-commit")

    def append_session(self, draft: SessionDraft) -> "asyncio.Future[Appended]":
        """Appends a session; the future is done once it is durable, or fails with Unavailable.

        Raises:
            ResourceExhausted: too much waits already.
        """
        return self._submit(draft, len(draft.payload) + OVERHEAD_BYTES)

    def append_events(self, push: EventPush) -> "asyncio.Future[list[StoredEvent | None]]":
        """Stores events; the future gives, per event, what held its id already, once all are durable.

        It fails with NotFound if the session is unknown, with Unavailable if the outcome is.

        Raises:
            ResourceExhausted: too much waits already.
        """
        return self._submit(push, sum([len(event.payload) + OVERHEAD_BYTES for event in push.events]))

    def _submit(self, content: SessionDraft | EventPush, size: int) -> "asyncio.Future[Any]":
        if self._waiting_bytes + size > self._max_waiting_bytes:
            raise ResourceExhausted("WRITE_QUEUE_FULL", "too many writes wait for the store")
        write = _Write(content, size, self._loop.create_future())
        self._waiting.append(write)
        self._waiting_bytes += size
        if self._writer is None:
            self._writer = self._loop.create_task(self._write_all())
        return write.done

    async def _write_all(self) -> None:
        """Writes group after group until nothing waits."""
        while group := self._next_group():
            outcomes = await self._loop.run_in_executor(
                self._thread, self._write_group, [write.content for write in group]
            )
            for write, outcome in zip(group, outcomes, strict=True):
                if write.done.done():  # its caller has gone; the write stands
                    continue
                if isinstance(outcome, Exception):
                    write.done.set_exception(outcome)
                else:
                    write.done.set_result(outcome)
        self._writer = None

    def _next_group(self) -> list[_Write]:
        group: list[_Write] = []
        size = 0
        while self._waiting and (not group or size + self._waiting[0].size <= GROUP_BYTES):
            group.append(self._waiting.popleft())
            size += group[-1].size
        self._waiting_bytes -= size
        return group

    def _write_group(self, contents: Sequence[SessionDraft | EventPush]) -> list[Any]:
        drafts = [content for content in contents if isinstance(content, SessionDraft)]
        pushes = [content for content in contents if isinstance(content, EventPush)]
        appended = iter(_attempt(self._dao.sessions.append, drafts))
        holders = iter(_attempt(self._dao.events.append, pushes))
        return [next(appended if isinstance(content, SessionDraft) else holders) for content in contents]

    async def close(self) -> None:
        """Waits for what was accepted, then ends the thread."""
        if self._writer is not None:
            await self._writer
        self._thread.shutdown()


def _attempt(append: Any, items: list[Any]) -> list[Any]:
    """One outcome per item, also when the whole write failed."""
    if not items:
        return []
    try:
        outcomes: list[Any] = append(items)
    except Exception as error:  # it must reach the callers, not end the writer
        return [error] * len(items)
    return outcomes
