"""A search backend's use of the client, blocking and asyncio: `python examples/python_client.py [address]`."""

import asyncio
import sys
import uuid

from embedding_studio.clickstream.v1.session_pb2 import Event, Session

from clickstream.client import AsyncClickstreamClient, ClickstreamClient, Failure, QueueFullError

FOUND = {"sku-1": "Red running shoe", "sku-2": "Blue sandal"}


def searched(query: str) -> Session:
    """A search with the results that its page showed."""
    session = Session(session_id=str(uuid.uuid4()), query=query)
    for object_id, title in FOUND.items():
        session.results.add(object_id=object_id).meta["title"] = title
    return session


def report(failure: Failure) -> None:
    """Called with each item that will not be stored: the place for an alert, or for a file to send again from."""
    print("not stored:", failure.session_id, failure.reason, failure.description, file=sys.stderr)


def with_threads(address: str) -> None:
    """As in Flask or Django: one client per process, for all its threads."""
    client = ClickstreamClient(address, on_failure=report)
    session = searched("red shoes")
    try:
        client.register(session)
        client.push(session.session_id, Event(object_id="sku-1", type="click"))
    except QueueFullError:
        print("the server has been away for long: this search is not recorded", file=sys.stderr)
    # A page would not wait here; without it, everything is sent in the background, and at exit.
    client.flush(timeout=10)
    stored = client.get_session(session.session_id)
    print(f"{stored.session.query}: {len(stored.events)} event in {stored.batch_id}, number {stored.session_number}")
    client.close()
    print(client.stats)


async def with_asyncio(address: str) -> None:
    """As in FastAPI: one client per event loop, made and closed in the lifespan."""
    async with AsyncClickstreamClient(address, on_failure=report) as client:
        session = searched("blue sandals")
        client.register(session)
        client.push(session.session_id, Event(object_id="sku-2", type="purchase"))
        await client.flush(timeout=10)
        robot = searched("robots search for everything")
        await client.create_session(robot)
        await client.mark_irrelevant(robot.session_id)
    print(client.stats)


if __name__ == "__main__":
    where = sys.argv[1] if len(sys.argv) > 1 else "localhost:50051"
    with_threads(where)
    asyncio.run(with_asyncio(where))
