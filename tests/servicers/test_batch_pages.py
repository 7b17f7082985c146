"""Reading a batch page by page: one page ahead of the reader, and no further (R21)."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.builders import session_drafts
from support.memory_store import MemoryDao
from support.servers import until
from typing_extensions import override

from clickstream.domain import limits
from clickstream.domain.errors import Reason, Unavailable
from clickstream.servicers.batch_pages import BatchReader, Page


class CountingReader(BatchReader):
    """Counts the pages that it reads, and calls `before` with each one's start first."""

    reads = 0
    before: Callable[[int], None] = staticmethod(lambda _: None)

    @override
    def page(self, after: int, size: int) -> Page:
        self.before(after)
        found = super().page(after, size)
        self.reads += 1
        return found


@pytest.fixture
def reader(memory_dao: MemoryDao, monkeypatch: pytest.MonkeyPatch) -> CountingReader:
    """Reads a batch of five pages with two sessions each."""
    monkeypatch.setattr(limits, "DEFAULT_PAGE_SIZE", 2)
    memory_dao.sessions.append(session_drafts(9))
    return CountingReader(memory_dao, 1, include_irrelevant=False)


def test_r21_reading_is_one_page_ahead_and_ends_with_its_reader(reader: CountingReader) -> None:
    """R21: while the reader is slow, one page is read ahead; after the reader stopped, nothing is read."""

    async def read_two_pages() -> None:
        pages: Any = reader.pages(0)
        for taken in (1, 2):
            assert (await anext(pages)).last == 2 * taken
            await until(lambda taken=taken: reader.reads == taken + 1)
            await asyncio.to_thread(lambda: None)  # any other read that was started had its turn
            assert reader.reads == taken + 1
        await pages.aclose()

    asyncio.run(read_two_pages())  # returns once every thread has ended
    assert reader.reads == 3


def test_r9_all_pages_come_in_order_and_once(reader: CountingReader) -> None:
    """R9: from any number on, the pages follow each other up to the end."""

    async def last_numbers(after: int) -> list[int]:
        return [page.last async for page in reader.pages(after)]

    assert asyncio.run(last_numbers(0)) == [2, 4, 6, 8, 9]
    assert asyncio.run(last_numbers(6)) == [8, 9]
    assert asyncio.run(last_numbers(9)) == [9]


def test_r21_the_error_of_the_page_ahead_reaches_a_reader_that_continues(reader: CountingReader) -> None:
    """R21: a reader that continues gets the store's error; after a reader that stopped, the error is not logged."""

    def fail_behind_the_first(after: int) -> None:
        if after:
            raise Unavailable(Reason.STORE_UNAVAILABLE, "gone")

    reader.before = fail_behind_the_first
    logged: list[dict[str, Any]] = []

    async def continue_reading() -> None:
        pages = reader.pages(0)
        await anext(pages)
        with pytest.raises(Unavailable):
            await anext(pages)

    async def stop_reading() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
        pages: Any = reader.pages(0)
        await anext(pages)
        [reading] = asyncio.all_tasks() - {asyncio.current_task()}
        await until(reading.done)
        del reading
        await pages.aclose()
        del pages

    asyncio.run(continue_reading())
    asyncio.run(stop_reading())
    assert logged == []
