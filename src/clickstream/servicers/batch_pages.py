"""Reads a batch page by page: each page is two range reads, whatever its size (R11)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from clickstream.contract.sessions import stored_session_bytes
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain import limits
from clickstream.domain.sessions import NO_EVENTS
from clickstream.servicers.slow_reads import slow_read


@dataclass(frozen=True, slots=True)
class Page:
    """Encoded `StoredSession`s up to session number `last`; `complete` if the batch has no session after it."""

    sessions: list[bytes]
    last: int
    complete: bool


class BatchReader:
    """Reads one batch in the order of its session numbers. Erased sessions are left out.

    Each session lists at most `events_limit` events; None means the listing limits.
    """

    def __init__(
        self, dao: ClickstreamDao, batch: int, *, include_irrelevant: bool, events_limit: int | None = None
    ) -> None:
        self._dao = dao
        self._batch = batch
        self._include_irrelevant = include_irrelevant
        self._events_limit = events_limit

    def page(self, after: int, size: int) -> Page:
        """Reads at most `size` sessions with numbers above `after`, of `limits.PAGE_BYTES` together. Blocks.

        The page has at least one session, unless every session that was read is erased: then it is empty, and
        `last` is the number of the last erased one.
        """
        found = self._dao.sessions.page(self._batch, after, size, include_irrelevant=self._include_irrelevant)
        if not found.sessions:
            return Page([], after, complete=True)
        first, end = found.sessions[0].number, found.sessions[-1].number
        events = self._dao.events.of_sessions(self._batch, first, end, self._events_limit)
        page: list[bytes] = []
        last, page_bytes = after, 0
        for session in found.sessions:
            if session.erased:
                last = session.number
                continue
            encoded = stored_session_bytes(session, events.of.get(session.number, NO_EVENTS))
            page_bytes += len(encoded)
            if session.number > events.last or (page and page_bytes > limits.PAGE_BYTES):
                return Page(page, last, complete=False)
            page.append(encoded)
            last = session.number
        return Page(page, last, found.complete)

    async def pages(self, after: int) -> AsyncIterator[Page]:
        """Yields all pages above `after`. The next page is read in a thread while the caller sends this one.

        Reading is never more than one page ahead, and ends when the caller stops iterating (R21).
        """
        size = limits.DEFAULT_PAGE_SIZE
        reading = self._start(after, size)
        try:
            while True:
                page = await reading
                if page.complete:
                    yield page
                    return
                # If sessions are large, most of a full fetch would not fit the page and be thrown away.
                size = min(limits.DEFAULT_PAGE_SIZE, 2 * len(page.sessions)) or limits.DEFAULT_PAGE_SIZE
                reading = self._start(page.last, size)
                yield page
        finally:
            reading.cancel()
            # Takes the error of a failed read; otherwise asyncio logs it as never retrieved.
            await asyncio.gather(reading, return_exceptions=True)

    def _start(self, after: int, size: int) -> "asyncio.Task[Page]":
        return asyncio.create_task(slow_read(self.page, after, size))
