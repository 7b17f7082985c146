"""The requests of the write benchmark, and the functions that send them or write their documents to MongoDB."""

import random
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import grpc
import uvloop
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1 import session_pb2
from http2_load import Outcome, closed_loop
from pymongo.collection import Collection

from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.events import event_document
from clickstream.domain.sessions import EventDraft

# Events of a search come within minutes of it, so each measurement registers its own sessions.
EVENTS_PER_SESSION = 10
WORDS = [
    "red", "blue", "running", "shoe", "sandal", "leather", "light", "with", "for", "men", "women", "soft", "summer",
    "winter",
]  # fmt: skip
PUSH, CREATE = "ClickstreamService/PushEvents", "ClickstreamService/CreateSession"
INGEST = "/embedding_studio.clickstream.v1.ClickstreamService/Ingest"


def click(number: int) -> session_pb2.Event:
    """A click with a new event id."""
    return session_pb2.Event(event_id=uuid.uuid4().hex, object_id=f"item-{number % 20}", type="click")


def register_sessions(address: str, count: int) -> list[str]:
    """Registers `count` new sessions; returns their ids.

    Raises:
        RuntimeError: the server refused one of them.
    """
    shown = [session_pb2.Result(object_id=f"item-{number}") for number in range(20)]
    session_ids = [uuid.uuid4().hex for _ in range(count)]
    sessions = (session_pb2.Session(session_id=each, query="red shoes", results=shown) for each in session_ids)
    messages = (
        pb.IngestRequest(sequence=sequence, session=session).SerializeToString()
        for sequence, session in enumerate(sessions, start=1)
    )
    with grpc.insecure_channel(address) as channel:
        # An earlier version's acknowledgement has other fields in `session`, so only its presence counts.
        registered = [each.HasField("session") for each in acknowledgements(channel, messages)]
    if registered != [True] * count:
        raise RuntimeError("not all sessions were registered")
    return session_ids


def push_requests(address: str, calls: int, events: int) -> list[bytes]:
    """Registers new sessions, and returns serialized requests that push distinct events to each of them in turn."""
    session_ids = register_sessions(address, max(1, calls * events // EVENTS_PER_SESSION))
    return [
        pb.PushEventsRequest(
            session_id=session_ids[number % len(session_ids)], events=[click(number) for _ in range(events)]
        ).SerializeToString()
        for number in range(calls)
    ]


def session_requests(calls: int, results: int = 50) -> list[bytes]:
    """Serialized requests of distinct sessions that showed products with metadata; 50 results are about 8.3 kB."""
    draw = random.Random(42)
    shown = session_pb2.Session(query="red running shoes", score_kind=session_pb2.SCORE_KIND_SIMILARITY)
    for place in range(results):
        result = shown.results.add(object_id=f"sku-{place:08d}", score=draw.random())
        title = " ".join(draw.choices(WORDS, k=8))
        result.meta.update({"title": title, "price": draw.randrange(10_000) / 100, "category": "shoes/running"})
    requests = []
    for _ in range(calls):
        shown.session_id = uuid.uuid4().hex
        requests.append(pb.CreateSessionRequest(session=shown).SerializeToString())
    return requests


def send_unary(address: str, method: str, bodies: list[bytes], in_flight: int, expected: bytes | None) -> Outcome:
    """Sends every body, with 8 calls in flight on each connection."""
    port = int(address.rpartition(":")[2])
    load = closed_loop(port, method, iter(bodies), connections=in_flight // 8, width=8, expected=expected)
    return uvloop.run(load)


def click_documents(count: int, session: int) -> list[Document]:
    """The documents that the service stores for `count` clicks in one session."""
    now = datetime.now(UTC)
    made = []
    for number in range(count):
        event = click(number)
        event.created_at.FromDatetime(now)
        draft = EventDraft(event.event_id, event.type, now, True, event.SerializeToString())
        made.append(event_document((1, session, event.event_id), draft))
    return made


def insert_by_two_threads(collection: Collection[Document], count: int, size: int) -> float:
    """Writes `count` documents by insert_many of `size` from two threads; returns documents a second."""
    groups_per_thread = count // size // 2
    written = groups_per_thread * 2 * size
    half = [click_documents(size, session) for session in range(groups_per_thread)]
    other = [click_documents(size, session) for session in range(groups_per_thread)]

    def insert(groups: list[list[Document]]) -> None:
        for group in groups:
            collection.insert_many(group, ordered=False)

    threads = [threading.Thread(target=insert, args=(groups,)) for groups in (half, other)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return written / (time.perf_counter() - began)


def ingest_messages(address: str, events: int, size: int) -> Iterator[bytes]:
    """Serialized messages of one Ingest stream, each with `size` events of another new session."""
    for sequence, session_id in enumerate(register_sessions(address, events // size), start=1):
        pushed = pb.EventList(session_id=session_id, events=[click(n) for n in range(size)])
        yield pb.IngestRequest(sequence=sequence, events=pushed).SerializeToString()


def acknowledgements(channel: grpc.Channel, messages: Iterable[bytes]) -> Iterator[pb.IngestResponse]:
    """Sends messages through one Ingest stream; yields its acknowledgements."""
    stream: grpc.StreamStreamMultiCallable[bytes, pb.IngestResponse] = channel.stream_stream(
        INGEST, None, pb.IngestResponse.FromString
    )
    return stream(iter(messages))


def ingest(channel: grpc.Channel, messages: Iterable[bytes], size: int) -> float:
    """Sends messages of `size` events through one Ingest stream; returns events a second.

    Raises:
        RuntimeError: the server did not accept all events.
    """
    began = time.perf_counter()
    stored = 0
    for acknowledgement in acknowledgements(channel, messages):
        if acknowledgement.events.accepted_count != size:
            raise RuntimeError(f"not all stored: {acknowledgement}")
        stored += size
    return stored / (time.perf_counter() - began)
