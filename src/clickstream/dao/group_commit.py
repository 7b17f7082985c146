"""Group commit: the one write path of sessions and events.

Items that arrive during a write form the next group, which is written as soon as that write ends. Unary calls go
before streams, which leave a group's last quarter to streams that wait. No timer
delays it: a single request is written at once, and a hundred share one round trip to the store. Two writes of
small groups at once would make the groups smaller and halve the rate. Only a full group of events is written
beside another write: the store works on one group while this process encodes the other.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.errors import Reason, ResourceExhausted
from clickstream.domain.sessions import Appended, EventPush, SessionDraft, StoredEvent
from clickstream.domain.signals import NoSignals, Signals

# Bytes that one event or session takes beside its payload: objects, keys, the future.
OVERHEAD_BYTES = 1_000
# The most bytes of one group: enough for full throughput (insert_many gains nothing beyond some thousand
# documents), and few enough that a caller waits for little more than its own write.
GROUP_BYTES = 8 * 1024 * 1024
# The most documents of one group. Measured on mongod 6.0 with two writes in flight: groups of 500 events store
# 126,000 events a second, of 1,000 162,000, of 2,000 182,000, of 4,000 158,000.
GROUP_DOCUMENTS = 2_000
WRITES_IN_FLIGHT = 2
# The part of a group that unary calls may fill while streams wait.
UNARY_PART = 0.75
NO_SIGNALS = NoSignals()


class _Write(NamedTuple):
    content: SessionDraft | EventPush
    documents: int
    size: int
    done: "asyncio.Future[Any]"
    submitted: float  # by the event loop's clock, in seconds


class GroupCommit:
    """Collects writes and sends them to the store in groups. Belongs to the event loop in which it is made.

    Within a group sessions are written first, and no other group is written beside a group with a session, so
    that events may follow their session at once. An error of one item reaches only its own caller.

    Signals, one value of each per group: `write_group_documents`, and `write_group_wait_seconds` for the time
    that its oldest write waited before the group was sent.

    Args:
        dao: The store.
        max_waiting_bytes: Size of the writes that may wait; beyond it writes are refused.
        signals: Takes the figures.
    """

    def __init__(self, dao: ClickstreamDao, *, max_waiting_bytes: int, signals: Signals = NO_SIGNALS) -> None:
        self._dao = dao
        self._signals = signals
        self._max_waiting_bytes = max_waiting_bytes
        self._unary: deque[_Write] = deque()
        self._streamed: deque[_Write] = deque()
        self._waiting_bytes = 0
        self._waiting_documents = 0
        self._sessions = 0  # waiting or being written
        self._in_flight = 0
        self._taken = asyncio.Event()
        self._streams = asyncio.Lock()
        self._writers: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(WRITES_IN_FLIGHT, thread_name_prefix="group-commit")

    def append_session(self, draft: SessionDraft, *, streamed: bool = False) -> "asyncio.Future[Appended]":
        """Appends a session; the future is done once it is durable, or fails with Unavailable.

        A `streamed` write comes from a stream, which waits; others come from unary calls.

        Raises:
            ResourceExhausted: the writes that wait leave no room for this one.
        """
        return self._submit(draft, 1, len(draft.payload) + OVERHEAD_BYTES, streamed)

    def append_events(self, push: EventPush, *, streamed: bool = False) -> "asyncio.Future[list[StoredEvent | None]]":
        """Stores events; the future is done once all are durable.

        Its result is, per event, the stored event that already had its id, or None if it is new. It fails with
        NotFound if the session is unknown, and with Unavailable if the outcome is unknown.

        Raises:
            ResourceExhausted: the writes that wait leave no room for this one.
        """
        size = sum([len(event.payload) + OVERHEAD_BYTES for event in push.events])
        return self._submit(push, len(push.events), size, streamed)

    @property
    def waiting_bytes(self) -> int:
        """Size of the writes that wait, of at most `max_waiting_bytes`."""
        return self._waiting_bytes

    @property
    def max_waiting_bytes(self) -> int:
        """Size of waiting writes beyond which writes are refused."""
        return self._max_waiting_bytes

    async def wait_for_room(self, size: int) -> None:
        """Waits until a stream may submit a write of about `size` bytes. Streams get their turn in order.

        Streams may fill half of the waiting bytes; the rest is for unary calls, which cannot be slowed down.
        """
        async with self._streams:
            while self._waiting_bytes and self._waiting_bytes + size > self._max_waiting_bytes // 2:
                self._taken.clear()
                await self._taken.wait()

    def _submit(
        self, content: SessionDraft | EventPush, documents: int, size: int, streamed: bool
    ) -> "asyncio.Future[Any]":
        if self._waiting_bytes + size > self._max_waiting_bytes:
            raise ResourceExhausted(Reason.WRITE_QUEUE_FULL, "too many writes wait for the store")
        write = _Write(content, documents, size, self._loop.create_future(), self._loop.time())
        (self._streamed if streamed else self._unary).append(write)
        self._waiting_bytes += size
        self._waiting_documents += documents
        self._sessions += isinstance(content, SessionDraft)
        self._start_writer()
        return write.done

    def _start_writer(self) -> None:
        if not self._writers or (len(self._writers) < WRITES_IN_FLIGHT and self._may_overlap()):
            self._writers.add(self._loop.create_task(self._write_all()))

    def _may_overlap(self) -> bool:
        """Whether the next group may be written beside another: it is full, and no session waits or is written."""
        full = self._waiting_documents >= GROUP_DOCUMENTS or self._waiting_bytes >= GROUP_BYTES
        return full and not self._sessions

    async def _write_all(self) -> None:
        """Writes group after group, until none waits that may be written now."""
        while (not self._in_flight or self._may_overlap()) and (group := self._next_group()):
            self._in_flight += 1
            self._start_writer()
            outcomes = await self._loop.run_in_executor(
                self._threads, self._write_group, [write.content for write in group]
            )
            self._in_flight -= 1
            self._sessions -= sum([isinstance(write.content, SessionDraft) for write in group])
            for write, outcome in zip(group, outcomes, strict=True):
                if write.done.done():  # its caller has gone; the write stays
                    continue
                if isinstance(outcome, Exception):
                    write.done.set_exception(outcome)
                else:
                    write.done.set_result(outcome)
        self._writers.remove(asyncio.current_task())  # type: ignore[arg-type]

    def _next_group(self) -> list[_Write]:
        group: list[_Write] = []
        size = documents = 0
        for waiting, part in ((self._unary, UNARY_PART if self._streamed else 1.0), (self._streamed, 1.0)):
            taken = 0  # of each queue at least one, so that neither waits for ever
            while waiting:
                write = waiting[0]
                if taken and (
                    size + write.size > GROUP_BYTES * part or documents + write.documents > GROUP_DOCUMENTS * part
                ):
                    break
                taken += 1
                size += write.size
                documents += write.documents
                group.append(waiting.popleft())
                self._waiting_bytes -= write.size
                self._waiting_documents -= write.documents
        self._taken.set()
        if group:
            self._signals.observe("write_group_documents", sum([write.documents for write in group]))
            self._signals.observe("write_group_wait_seconds", self._loop.time() - group[0].submitted)
        return group

    def _write_group(self, contents: Sequence[SessionDraft | EventPush]) -> list[Any]:
        drafts = [content for content in contents if isinstance(content, SessionDraft)]
        pushes = [content for content in contents if isinstance(content, EventPush)]
        appended = iter(_attempt(self._dao.sessions.append, drafts))
        earlier = iter(_attempt(self._dao.events.append, pushes))
        return [next(appended if isinstance(content, SessionDraft) else earlier) for content in contents]

    async def close(self) -> None:
        """Waits until all accepted writes are done, then ends the threads."""
        while self._writers:
            await asyncio.wait(self._writers)
        self._threads.shutdown()


def _attempt(append: Any, items: list[Any]) -> list[Any]:
    """One outcome per item, also when the whole write failed."""
    if not items:
        return []
    try:
        outcomes: list[Any] = append(items)
    except Exception as error:  # it belongs to the callers, and must not end the writer
        return [error] * len(items)
    return outcomes
