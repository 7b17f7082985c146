"""Sends simulated visits through the RPCs, as a shop's backend sends real ones."""

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from embedding_studio.clickstream.v1 import clickstream_service_pb2 as service

from clickstream.client.calls import call
from clickstream.demo.shoppers import Visit

# Searches in flight: enough to fill the server's group commits.
_IN_FLIGHT = 16


def play(visits: Iterable[Visit], stub: Any, name: str) -> Iterator[Counter[str]]:
    """Sends each visit: its session, then its acts, then the irrelevance mark if it is a robot's.

    Yields the counts of each visit, in order: what the server stored as new `sessions`, `events` and `irrelevant`
    marks. The same visits under the same name store nothing further.

    Args:
        visits: The visits.
        stub: The generated stub of ClickstreamService.
        name: Prefix of every session id.

    Raises:
        grpc.RpcError: A call failed, and retries did not help.
    """
    waiting = iter(visits)
    with ThreadPoolExecutor(_IN_FLIGHT) as pool:
        # A window, so that a failure is noticed before everything is queued.
        while window := list(islice(waiting, _IN_FLIGHT * 4)):
            yield from pool.map(lambda visit: _play_one(visit, stub, name), window)


def _play_one(visit: Visit, stub: Any, name: str) -> Counter[str]:
    session_id = f"{name}-{visit.number:06}"
    stored: Counter[str] = Counter()
    created = call(stub.CreateSession, _create_request(visit, session_id)).created
    stored["sessions"] += created
    if visit.acts:
        request = service.PushEventsRequest(session_id=session_id)
        for place, (event_type, object_id) in enumerate(visit.acts):
            request.events.add(event_id=f"{place}", object_id=object_id, type=event_type)
        stored["events"] += call(stub.PushEvents, request).accepted_count
    if visit.robot:
        call(stub.MarkSessionIrrelevant, service.MarkSessionIrrelevantRequest(session_id=session_id))
        stored["irrelevant"] += created
    return stored


def _create_request(visit: Visit, session_id: str) -> service.CreateSessionRequest:
    request = service.CreateSessionRequest()
    session = request.session
    session.session_id = session_id
    session.query = visit.query
    session.user_id = visit.shopper
    session.payload_search = visit.category_page
    session.context.update({"source": "demo"})
    for item in visit.shown:
        session.results.add(object_id=item.object_id).meta.update(item.meta)
    return request
