"""Threads that send what is queued: each takes a call out of the outbox and repeats it until it is decided."""

import atexit
import logging
import os
import threading
import uuid
from collections.abc import Callable
from typing import TypeVar

import grpc
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as service
from embedding_studio.clickstream.v1.error_reason_pb2 import ErrorReason
from embedding_studio.clickstream.v1.session_pb2 import Event, Session

from clickstream.client.calls import clickstream_stub, is_passing, pause_before_retry
from clickstream.client.channel import AnyCredentials, open_channel
from clickstream.client.outbox import ACCEPTED, DUPLICATE, ItemOutcome, Lane, Outbox
from clickstream.client.queue_reports import Failure, Stats
from clickstream.client.queue_settings import QueueSettings
from clickstream.contract.details import reason_of
from clickstream.domain.errors import Reason

logger = logging.getLogger(__name__)

# Seconds that a thread may take to end after its call was canceled.
_JOIN_SECONDS = 5.0

Message = TypeVar("Message", Session, Event)
# Called with each queued item that will not be stored.
OnFailure = Callable[[Failure], None]


class Background:
    """The part that both clients share: the queue, its threads, and a channel of their own.

    An error that may pass is retried until the client closes; any other fails the items of its call only. Every
    method may be called from any thread.
    """

    def __init__(
        self,
        address: str,
        credentials: AnyCredentials,
        settings: QueueSettings,
        on_failure: OnFailure | None,
    ) -> None:
        # gRPC's own retries would come before the time that the server asks for, and uncounted.
        self._channel = open_channel(address, credentials, retries=False)
        self._stub = clickstream_stub(self._channel)
        self._outbox = Outbox(settings)
        self._settings = settings
        self._on_failure = on_failure
        self._pid = os.getpid()
        self._stopping = threading.Event()
        # Daemon threads: Python joins all others before it runs its exit handlers, which here stop these threads.
        self._threads = [
            threading.Thread(target=self._work, name=f"clickstream-client-{number}", daemon=True)
            for number in range(settings.in_flight)
        ]
        for thread in self._threads:
            thread.start()
        atexit.register(self.close)

    def register(self, session: Session) -> None:
        """Queues a copy of a session. Raises QueueFullError, RuntimeError if closed or in a forked child."""
        self._check_process()
        self._outbox.put(session.session_id, _copy(Session(), session))

    def push(self, session_id: str, event: Event) -> None:
        """Queues a copy of an event, with an id. Raises QueueFullError, RuntimeError if closed or in a forked child."""
        self._check_process()
        queued = _copy(Event(), event)
        queued.event_id = queued.event_id or str(uuid.uuid4())
        self._outbox.put(session_id, queued)

    def flush(self, timeout: float) -> bool:
        """Waits until all items queued before are settled; returns whether. Raises RuntimeError in a forked child."""
        self._check_process()
        return self._outbox.flush(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Flushes, then reports the rest as failed. Does nothing in a forked child, or when called again."""
        atexit.unregister(self.close)
        if os.getpid() != self._pid or self._stopping.is_set():
            return
        self._outbox.close()
        self._outbox.flush(self._settings.close_timeout if timeout is None else timeout)
        unsettled = self._outbox.abandon()
        self._stopping.set()
        self._channel.close()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)
        self._report(unsettled)

    @property
    def stats(self) -> Stats:
        """The counters at this moment."""
        return self._outbox.stats

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise RuntimeError("this client was made by another process: make one in each process, after the fork")

    def _work(self) -> None:
        while lane := self._outbox.take():
            try:
                failures = self._outbox.settle(lane, self._deliver(lane))
            except Exception as error:  # a defect must fail its own call only
                logger.exception("a call has no usable outcome")
                outcome = ItemOutcome(type(error).__name__, str(error))
                failures = self._outbox.settle(lane, [outcome] * len(lane.in_flight))
            self._report(failures)

    def _deliver(self, lane: Lane) -> list[ItemOutcome]:
        """Repeats the call in flight until the server has decided or the client stops; one outcome per item."""
        attempt = 1
        while not self._stopping.is_set():
            try:
                return self._attempt(lane)
            except grpc.RpcError as error:
                if not is_passing(error):
                    why = reason_of(error) or error.code().name
                    return [ItemOutcome(why, error.details() or "")] * len(lane.in_flight)
                self._stopping.wait(pause_before_retry(attempt, error))
                attempt += 1
                self._outbox.count_retry()
        return []  # the outbox is abandoned and ignores this

    def _attempt(self, lane: Lane) -> list[ItemOutcome]:
        first = lane.in_flight[0].message
        timeout = self._settings.timeout
        if isinstance(first, Session):
            created = self._stub.CreateSession(service.CreateSessionRequest(session=first), timeout=timeout)
            return [ItemOutcome(ACCEPTED if created.created else DUPLICATE)]
        events = [item.message for item in lane.in_flight if isinstance(item.message, Event)]
        request = service.PushEventsRequest(session_id=lane.session_id, events=events)
        return [_item_outcome(outcome) for outcome in self._stub.PushEvents(request, timeout=timeout).outcomes]

    def _report(self, failures: list[Failure]) -> None:
        if failures:
            logger.warning("%d items were not stored; the first: %s", len(failures), failures[0].reason)
        if self._on_failure is None:
            return
        for failure in failures:
            try:
                self._on_failure(failure)
            except Exception:  # the caller's code must not stop the sending
                logger.exception("on_failure failed")


def _item_outcome(outcome: service.EventOutcome) -> ItemOutcome:
    if outcome.code == service.EventOutcome.CODE_ACCEPTED:
        return ItemOutcome(ACCEPTED)
    if outcome.code == service.EventOutcome.CODE_DUPLICATE:
        return ItemOutcome(DUPLICATE)
    if outcome.code == service.EventOutcome.CODE_CONFLICT:
        return ItemOutcome(Reason.CONTENT_CONFLICT, "the event id is taken by other content")
    # A newer server may know reasons that this client does not.
    known = outcome.reason in ErrorReason.values()
    name = ErrorReason.Name(outcome.reason).removeprefix("ERROR_REASON_") if known else str(outcome.reason)
    return ItemOutcome(name, outcome.description)


def _copy(copy: Message, original: Message) -> Message:
    """Fills `copy` from the caller's message, and gives it the present time if it has none."""
    copy.CopyFrom(original)
    if not copy.HasField("created_at"):
        copy.created_at.GetCurrentTime()
    return copy
