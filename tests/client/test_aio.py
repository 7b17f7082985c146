import asyncio

import grpc
import pytest
from embedding_studio.clickstream.v1.clickstream_service_pb2 import EventOutcome
from support.builders import event, session
from support.scripted import InMemoryService
from support.servers import InProcessServer, until

from clickstream.client import AsyncClickstreamClient

PATIENCE = 20


def test_direct_calls_answer(server: InProcessServer) -> None:
    """Every direct call returns what the server answered."""

    async def main() -> None:
        async with AsyncClickstreamClient(server.address) as client:
            assert (await client.create_session(session())).created
            outcomes = await client.push_events("s-1", [event("e-1"), event("e-1", type="view")])
            assert [outcome.code for outcome in outcomes] == [EventOutcome.CODE_ACCEPTED, EventOutcome.CODE_CONFLICT]
            assert (await client.mark_irrelevant("s-1")).irrelevant
            assert not (await client.restore("s-1")).irrelevant
            assert [kept.event_id for kept in (await client.get_session("s-1")).events] == ["e-1"]
            with pytest.raises(grpc.RpcError) as refusal:
                await client.get_session("s-2")
            assert refusal.value.code() is grpc.StatusCode.NOT_FOUND

    asyncio.run(main())


def test_queued_items_are_sent(server: InProcessServer) -> None:
    """Sessions and events that are queued in an event loop are stored by the end of `async with`."""

    async def main() -> AsyncClickstreamClient:
        async with AsyncClickstreamClient(server.address) as client:
            client.register(session())
            client.push("s-1", event("e-1"))
            assert await client.flush(PATIENCE)
            client.push("s-1", event("e-2"))
        return client

    stats = asyncio.run(main()).stats
    assert (stats.queued, stats.accepted, stats.waiting) == (3, 3, 0)


def test_a_flush_leaves_the_loop_to_others(scripted: InMemoryService, scripted_address: str) -> None:
    """While a flush waits for a slow server, the event loop runs other tasks: here the one that makes it answer."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[None] = loop.create_future()
        scripted.faults.append(lambda *_: asyncio.run_coroutine_threadsafe(wait(answer), loop).result(PATIENCE))
        async with AsyncClickstreamClient(scripted_address) as client:
            client.register(session())
            flush = asyncio.create_task(client.flush(PATIENCE))
            await until(lambda: scripted.requests)
            assert not flush.done()
            answer.set_result(None)
            assert await flush

    async def wait(answer: asyncio.Future[None]) -> None:
        await answer

    asyncio.run(main())
