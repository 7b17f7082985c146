"""Sends searches with their acts through one Ingest stream, in order, and says what became of each."""

import queue
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as service
from embedding_studio.clickstream.v1 import error_reason_pb2
from embedding_studio.clickstream.v1 import session_pb2 as wire

from clickstream.client import calls
from clickstream.client.calls import call, clickstream_stub, is_passing, pause_before_retry
from clickstream.domain import limits
from clickstream.transfer.account import (
    NEVER_SHOWN,
    NO_QUERY_TEXT,
    NO_SEARCH,
    SAME_SEARCH,
    SEARCH,
    SHOWN,
    Bucket,
    DocumentOutcome,
    ImportAccount,
)
from clickstream.transfer.answers import events_outcomes, with_field

# Messages and bytes that wait for their acknowledgement: enough for the server's group commits, and little memory.
WINDOW_MESSAGES = 1_000
WINDOW_BYTES = 4 * 1024 * 1024
# Seconds of one stream; then the next takes over.
_STREAM_SECONDS = 600.0
_EVENT_LIST_BYTES = 1024 * 1024
_UNSENT = Bucket(DocumentOutcome.UNACKNOWLEDGED, "not sent: the import stopped before it")
_REGISTERED = {DocumentOutcome.ACCEPTED, DocumentOutcome.DUPLICATE, DocumentOutcome.CONFLICT}


@dataclass(frozen=True, slots=True)
class Act:
    """One event to send, with the kind and the place of its document."""

    message: wire.Event
    kind: str
    place: int


@dataclass(slots=True)
class Outgoing:
    """One search to send.

    Attributes:
        place: Where its first document begins; an import that goes on skips all up to a place.
        session_id: Its id.
        session: What is registered; None: the acts go to a session that the service has already.
        documents: The (kind, place) of the documents that it was made of, its acts left out.
        acts: Its events.
        decided: Documents whose outcome is known without the service.
        cut: What of the search does not fit the contract and was left out, by reason.
        irrelevant: Whether it is marked so after its registration.
    """

    place: int
    session_id: str
    session: wire.Session | None = None
    documents: Sequence[tuple[str, int]] = ()
    acts: Sequence[Act] = ()
    decided: Sequence[tuple[DocumentOutcome, str, str, int]] = ()
    cut: Counter[str] = field(default_factory=Counter)
    irrelevant: bool = False


@dataclass(slots=True)
class Sent:
    """What became of one search: of its registration, None without one, and of each of its acts in order."""

    outgoing: Outgoing
    registration: Bucket | None = None
    acts: list[Bucket] = field(default_factory=list)
    marked: bool = False

    def record(self, account: ImportAccount) -> None:
        """Counts every document of the search in the account."""
        for decided in self.outgoing.decided:
            account.add(*decided)
        account.cut += self.outgoing.cut
        account.marks += self.marked
        if self.registration is not None:
            account.sessions[self.registration.outcome] += 1
            for number, (kind, place) in enumerate(self.outgoing.documents):
                if number and self.registration.outcome in _REGISTERED:
                    account.add(DocumentOutcome.MERGED, SAME_SEARCH, kind, place)
                else:
                    account.add(self.registration.outcome, self.registration.reason, kind, place)
        for act, bucket in zip(self.outgoing.acts, self.acts, strict=True):
            account.add(bucket.outcome, bucket.reason, act.kind, act.place)


@dataclass(slots=True)
class _Message:
    """One message of the stream; `first` is the index of its first event among the acts of its search."""

    of: "_Open"
    request: service.IngestRequest
    size: int
    first: int = 0


@dataclass(slots=True)
class _Open:
    """A search on its way."""

    sent: Sent
    waiting: int = 0
    shown: set[str] | None = None
    query: str = ""


class Sender:
    """Sends searches in order, so that the same files always give the same numbers in an empty service."""

    def __init__(self, channel: grpc.Channel, sleep: Callable[[float], None] = time.sleep) -> None:
        self._stub = clickstream_stub(channel)
        self._sleep = sleep
        # Why nothing more is sent, and whether that may pass; empty while all is well.
        self.stopped = ""
        self.may_repeat = False
        self._sequence = 0
        self._open: deque[_Open] = deque()
        self._unacknowledged: deque[_Message] = deque()
        self._bytes = 0
        self._stream: _Stream | None = None
        self._failures = 0

    def send_all(self, searches: Iterable[Outgoing]) -> Iterator[Sent]:
        """Sends the searches; yields what became of each, in their order. Errors of the service become buckets.

        If the service stays away or refuses the caller, `stopped` is the reason; the rest is then unacknowledged.
        """
        try:
            for outgoing in searches:
                self._begin(outgoing)
                while len(self._unacknowledged) >= WINDOW_MESSAGES or self._bytes >= WINDOW_BYTES:
                    self._receive()
                yield from self._ended()
            while self._unacknowledged:
                self._receive()
            yield from self._ended()
        finally:
            if self._stream is not None:
                self._stream.close()

    def _begin(self, outgoing: Outgoing) -> None:
        """Puts the messages of a search on their way."""
        opened = _Open(Sent(outgoing))
        self._open.append(opened)
        session = outgoing.session
        opened.sent.acts = [_UNSENT] * len(outgoing.acts)
        if session is not None:
            opened.sent.registration, opened.query = _UNSENT, session.query
            if session.ByteSize() > limits.SESSION_BYTES:
                larger = f"the search is larger than {limits.SESSION_BYTES // 2**20} MiB"
                self._refuse_whole(opened, Bucket(DocumentOutcome.REJECTED, larger))
                return
        if self.stopped:
            return
        if session is not None:
            self._put(opened, service.IngestRequest(session=session, historical=True), session.ByteSize())
        for first, events, size in _lists(outgoing.acts, opened.sent):
            listed = service.EventList(session_id=outgoing.session_id, events=events)
            self._put(opened, service.IngestRequest(events=listed, historical=True), size, first)

    def _put(self, opened: _Open, request: service.IngestRequest, size: int, first: int = 0) -> None:
        self._sequence += 1
        request.sequence = self._sequence
        message = _Message(opened, request, size, first)
        opened.waiting += 1
        self._bytes += size
        self._unacknowledged.append(message)
        if self._stream is not None:
            self._stream.put(request)

    def _receive(self) -> None:
        """Takes the next acknowledgement; opens the stream where there is none."""
        if self._stream is None:
            self._stream = _Stream(self._stub, self._unacknowledged)
        try:
            response = self._stream.receive()
        except grpc.RpcError as error:
            self._stream.close()
            self._stream = None
            self._after(error)
            return
        self._failures = 0
        message = self._acknowledged()
        if message.request.HasField("session"):
            self._registered(message.of, response)
        else:
            self._pushed(message, response)

    def _acknowledged(self) -> _Message:
        message = self._unacknowledged.popleft()
        message.of.waiting -= 1
        self._bytes -= message.size
        return message

    def _after(self, error: grpc.RpcError) -> None:
        """Waits before the stream is opened again, or stops; a message that cannot be read costs itself alone."""
        if error.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED} and not is_passing(
            error
        ):
            message = self._acknowledged()
            bucket = Bucket(DocumentOutcome.REJECTED, f"the service cannot read it: {error.details()}")
            if message.request.HasField("session"):
                message.of.sent.registration = bucket
            else:
                message.of.sent.acts[message.first : message.first + len(message.request.events.events)] = [
                    bucket
                ] * len(message.request.events.events)
            return
        self._failures += 1
        if is_passing(error) and self._failures < calls.ATTEMPTS:
            self._sleep(pause_before_retry(self._failures, error))
            return
        self.stopped, self.may_repeat = f"{error.code().name}: {error.details()}", is_passing(error)
        bucket = Bucket(DocumentOutcome.UNACKNOWLEDGED, f"no acknowledgement: {error.code().name}")
        while self._unacknowledged:
            message = self._acknowledged()
            if message.request.HasField("session"):
                message.of.sent.registration = bucket
            count = len(message.request.events.events)
            message.of.sent.acts[message.first : message.first + count] = [bucket] * count

    def _registered(self, opened: _Open, response: service.IngestResponse) -> None:
        if not response.HasField("failure"):
            outcome = DocumentOutcome.ACCEPTED if response.session.created else DocumentOutcome.DUPLICATE
            opened.sent.registration = Bucket(outcome, SEARCH)
        elif response.failure.reason == error_reason_pb2.ERROR_REASON_CONTENT_CONFLICT:
            opened.sent.registration = Bucket(DocumentOutcome.CONFLICT, "the search is registered with other content")
            self._look_at(opened)
        else:
            failure = response.failure
            why = with_field(failure.field.removeprefix("session."), failure.description)
            opened.sent.registration = Bucket(DocumentOutcome.REJECTED, f"the search is refused: {why}")

    def _look_at(self, opened: _Open) -> None:
        """Reads what is registered: it decides which objects of the acts were shown."""
        request = service.GetSessionRequest(session_id=opened.sent.outgoing.session_id)
        try:
            registered = call(self._stub.GetSession, request, sleep=self._sleep).stored_session.session
        except grpc.RpcError:  # only the words of the account depend on it
            return
        opened.shown, opened.query = {result.object_id for result in registered.results}, registered.query

    def _pushed(self, message: _Message, response: service.IngestResponse) -> None:
        opened, sent = message.of, message.of.sent
        count = len(message.request.events.events)
        if response.failure.reason == error_reason_pb2.ERROR_REASON_SESSION_NOT_FOUND:
            bucket = sent.registration or Bucket(DocumentOutcome.REJECTED, NO_SEARCH)
            outcomes = [bucket] * count
        else:
            outcomes = events_outcomes(response, count)
        if opened.sent.outgoing.session is None and opened.shown is None and any(not one.reason for one in outcomes):
            opened.shown = set()
            self._look_at(opened)
        for number, bucket in enumerate(outcomes, start=message.first):
            act = sent.outgoing.acts[number]
            sent.acts[number] = Bucket(bucket.outcome, bucket.reason or self._value(opened, act.message.object_id))

    def _value(self, opened: _Open, object_id: str) -> str:
        """What an act that the service has is good for."""
        if opened.shown is None:
            session = opened.sent.outgoing.session
            opened.shown = {result.object_id for result in session.results} if session is not None else set()
        if object_id not in opened.shown:
            return NEVER_SHOWN
        return SHOWN if opened.query.strip() else NO_QUERY_TEXT

    def _refuse_whole(self, opened: _Open, bucket: Bucket) -> None:
        opened.sent.registration = bucket
        opened.sent.acts = [bucket] * len(opened.sent.acts)

    def _ended(self) -> Iterator[Sent]:
        while self._open and not self._open[0].waiting:
            sent = self._open.popleft().sent
            if sent.outgoing.irrelevant and sent.registration and sent.registration.outcome in _REGISTERED:
                self._mark(sent)
            yield sent

    def _mark(self, sent: Sent) -> None:
        request = service.MarkSessionIrrelevantRequest(session_id=sent.outgoing.session_id)
        try:
            call(self._stub.MarkSessionIrrelevant, request, sleep=self._sleep)
            sent.marked = True
        except grpc.RpcError as error:
            self.stopped, self.may_repeat = f"{error.code().name}: {error.details()}", is_passing(error)


class _Stream:
    """One call of Ingest, which begins with all that is not acknowledged."""

    def __init__(self, stub: Any, unacknowledged: Iterable[_Message]) -> None:
        self._requests: queue.SimpleQueue[service.IngestRequest | None] = queue.SimpleQueue()
        for message in unacknowledged:
            self._requests.put(message.request)
        self._call = stub.Ingest(iter(self._requests.get, None), timeout=_STREAM_SECONDS)

    def put(self, request: service.IngestRequest) -> None:
        """Sends a further message."""
        self._requests.put(request)

    def receive(self) -> service.IngestResponse:
        """The next acknowledgement."""
        response: service.IngestResponse = next(self._call)
        return response

    def close(self) -> None:
        """Ends the call; whatever is unacknowledged may be stored or not."""
        self._requests.put(None)
        self._call.cancel()


def _lists(acts: Sequence[Act], sent: Sent) -> Iterator[tuple[int, list[wire.Event], int]]:
    """Splits the acts into lists within the contract's bounds; yields (index of the first, events, bytes).

    An act that is too large becomes a bucket of `sent`, and ends its list.
    """
    events: list[wire.Event] = []
    first, size = 0, 0
    for index, act in enumerate(acts):
        length = act.message.ByteSize() + 8
        if length > limits.EVENT_BYTES:
            larger = f"the event is larger than {limits.EVENT_BYTES // 2**10} KiB"
            sent.acts[index] = Bucket(DocumentOutcome.REJECTED, larger)
        fits = length <= limits.EVENT_BYTES
        if events and (not fits or len(events) == limits.EVENTS_PER_CALL or size + length > _EVENT_LIST_BYTES):
            yield first, events, size
            events, size = [], 0
        if fits:
            if not events:
                first = index
            events.append(act.message)
            size += length
    if events:
        yield first, events, size
