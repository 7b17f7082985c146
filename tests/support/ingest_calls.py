"""Messages, calls and blocked stores for tests of Ingest streams."""

import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb

from support.builders import event, session
from support.servers import PATIENCE, InProcessServer, refused

METHOD = "/embedding_studio.clickstream.v1.ClickstreamService/Ingest"


def sessions_of(*session_ids: str, start: int = 1) -> list[pb.IngestRequest]:
    """One message per session, numbered from `start`."""
    return [pb.IngestRequest(sequence=number, session=session(each)) for number, each in enumerate(session_ids, start)]


def events_of(sequence: int, session_id: str, *events: Any, **more: Any) -> pb.IngestRequest:
    """A message with events of one session; a text is the id of a click."""
    made = [event(each) if isinstance(each, str) else each for each in events]
    return pb.IngestRequest(sequence=sequence, events=pb.EventList(session_id=session_id, events=made), **more)


def ingest(server: InProcessServer, *requests: pb.IngestRequest) -> list[pb.IngestResponse]:
    """Sends messages, ends the stream and reads all acknowledgements."""
    return list(server.clickstream.Ingest(iter(requests), timeout=PATIENCE))


def until_it_breaks(call: Any) -> tuple[list[pb.IngestResponse], Any]:
    """The acknowledgements before a stream breaks, and its error."""
    answers: list[pb.IngestResponse] = []
    return answers, refused(lambda: (answers.append(each) for each in call))


class Conversation:
    """A stream whose messages the test sends one by one."""

    def __init__(self, server: InProcessServer, timeout: float = PATIENCE) -> None:
        self._outgoing: queue.Queue[pb.IngestRequest | None] = queue.Queue()
        self.taken = 0
        self.call = server.clickstream.Ingest(self._requests(), timeout=timeout)

    def _requests(self) -> Iterator[pb.IngestRequest]:
        while (request := self._outgoing.get()) is not None:
            self.taken += 1
            yield request

    def send(self, *requests: pb.IngestRequest | None) -> None:
        """Sends messages; None ends the client's side."""
        for request in requests:
            self._outgoing.put(request)


def block_store(server: InProcessServer, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], threading.Event]:
    """Makes the store wait before it stores events; returns the waiting pushes, and what lets it continue."""
    given: list[Any] = []
    go_on = threading.Event()
    append = server.dao.events.append

    def wait(pushes: Any) -> Any:
        given.extend(pushes)
        assert go_on.wait(PATIENCE)
        return append(pushes)

    monkeypatch.setattr(server.dao.events, "append", wait)
    return given, go_on


def stored(server: InProcessServer, session_id: str) -> list[str]:
    """The ids of the events that a session has."""
    found = server.clickstream.GetSession(pb.GetSessionRequest(session_id=session_id)).stored_session
    return [each.event_id for each in found.events]
