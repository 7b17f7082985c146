"""How a search backend uses the client, blocking and with asyncio: `python examples/python_client.py [address]`."""

import asyncio
import sys
import uuid

from embedding_studio.clickstream.v1.session_pb2 import Event, Session

from clickstream.client import AsyncClickstreamClient, ClickstreamClient, Failure, QueueFullError

RESULTS = {"sku-1": "Red running shoe", "sku-2": "Blue sandal"}


def search_session(query: str) -> Session:
    """The session of a search page: its query and the shown results."""
    session = Session(session_id=str(uuid.uuid4()), query=query)
    for object_id, title in RESULTS.items():
        session.results.add(object_id=object_id).meta["title"] = title
    return session


def report_failure(failure: Failure) -> None:
    """Called for everything that will not be stored: raise an alert here, or write a file to send again from."""
    print("not stored:", failure.session_id, failure.reason, failure.description, file=sys.stderr)


def with_threads(address: str) -> None:
    """Uses the blocking client, as in Flask or Django: one client per process, for all its threads."""
    client = ClickstreamClient(address, on_failure=report_failure)
    session = search_session("red shoes")
    try:
        client.register(session)
        client.push(session.session_id, Event(object_id="sku-1", type="click"))
    except QueueFullError:
        print(
            "the queue is full, because the server was unreachable for long: this search is not recorded",
            file=sys.stderr,
        )
    # A search page would not wait here: the client sends in the background, and at exit.
    client.flush(timeout=10)
    stored = client.get_session(session.session_id)
    print(f"{stored.session.query}: {len(stored.events)} event in {stored.batch_id}, number {stored.session_number}")
    client.close()
    print(client.stats)


async def with_asyncio(address: str) -> None:
    """Uses the asyncio client, as in FastAPI: one client per event loop, made and closed in the lifespan."""
    async with AsyncClickstreamClient(address, on_failure=report_failure) as client:
        session = search_session("blue sandals")
        client.register(session)
        client.push(session.session_id, Event(object_id="sku-2", type="purchase"))
        await client.flush(timeout=10)
        robot = search_session("robots search for everything")
        await client.create_session(robot)
        await client.mark_irrelevant(robot.session_id)
    print(client.stats)


if __name__ == "__main__":
    where = sys.argv[1] if len(sys.argv) > 1 else "localhost:50051"
    with_threads(where)
    asyncio.run(with_asyncio(where))
