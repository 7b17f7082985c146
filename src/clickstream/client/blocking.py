"""The blocking client."""

from collections.abc import Iterable
from typing import Any, Self

import grpc
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as service
from embedding_studio.clickstream.v1.session_pb2 import Event, Session, StoredSession

from clickstream.client.background import Background, OnFailure
from clickstream.client.calls import clickstream_stub
from clickstream.client.channel import open_channel
from clickstream.client.outbox import Stats
from clickstream.client.queue_settings import QueueSettings


class ClickstreamClient:
    """Calls the service from any thread.

    `register` and `push` only queue: they never wait, and a server that is slow or away never
    reaches their caller. The other calls are direct: they wait for the server's answer.

    A direct call is retried by gRPC on UNAVAILABLE, up to five attempts within its deadline. What
    is queued is retried until the server has decided or the client closes. Retries store nothing
    twice: ids and times are fixed before the first attempt.

    What still waits when the interpreter ends is sent then, for at most `QueueSettings.close_timeout`
    seconds. A process that is killed, also by SIGTERM without a handler, loses what waits.

    A client belongs to the process that made it: behind a server that forks its workers, make it
    in the worker (gunicorn: `post_fork`). In a forked child, `register`, `push` and `flush` raise
    RuntimeError, no other call may be used, and what waits is sent by the parent alone. A
    `multiprocessing` child must `close` its own client: it ends without what Python does at exit.
    """

    def __init__(
        self,
        address: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        timeout: float = 5.0,
        queue: QueueSettings = QueueSettings(),  # noqa: B008 -- frozen
        on_failure: OnFailure | None = None,
    ) -> None:
        """Connects with the first call.

        Args:
            address: `host:port` of the server's client port.
            credentials: For TLS, with call credentials for a token; None sends plain text.
            timeout: Default deadline of direct calls, in seconds, attempts included.
            queue: Bounds and batching of what is sent in the background.
            on_failure: Called with each queued item that will not be stored, in a thread of the
                client, which sends nothing meanwhile. It may `push` and `register` until the client closes.
        """
        self._timeout = timeout
        self._channel = open_channel(address, credentials, retries=True)
        self._stub = clickstream_stub(self._channel)
        self._background = Background(address, credentials, queue, on_failure)

    def create_session(self, session: Session, timeout: float | None = None) -> service.CreateSessionResponse:
        """Registers a session and waits until it is durable.

        Args:
            session: The search. Without `created_at`, the server's time counts.
            timeout: Deadline in seconds; None: the client's. The same in every direct call.

        Raises:
            grpc.RpcError: ALREADY_EXISTS if the id is taken by other content, INVALID_ARGUMENT, or
                UNAVAILABLE or DEADLINE_EXCEEDED with an unknown outcome: safe to call again.
        """
        response: service.CreateSessionResponse = self._call(
            self._stub.CreateSession, service.CreateSessionRequest(session=session), timeout
        )
        return response

    def get_session(self, session_id: str, timeout: float | None = None) -> StoredSession:
        """The session with its events. Raises grpc.RpcError, NOT_FOUND if it was never registered."""
        response = self._call(self._stub.GetSession, service.GetSessionRequest(session_id=session_id), timeout)
        stored: StoredSession = response.stored_session
        return stored

    def mark_irrelevant(self, session_id: str, timeout: float | None = None) -> StoredSession:
        """Excludes a session from training. Raises grpc.RpcError, NOT_FOUND if it is unknown."""
        request = service.MarkSessionIrrelevantRequest(session_id=session_id)
        stored: StoredSession = self._call(self._stub.MarkSessionIrrelevant, request, timeout).stored_session
        return stored

    def restore(self, session_id: str, timeout: float | None = None) -> StoredSession:
        """Takes the mark back. Raises grpc.RpcError, NOT_FOUND if the session is unknown."""
        request = service.RestoreSessionRequest(session_id=session_id)
        stored: StoredSession = self._call(self._stub.RestoreSession, request, timeout).stored_session
        return stored

    def push_events(
        self, session_id: str, events: Iterable[Event], timeout: float | None = None
    ) -> list[service.EventOutcome]:
        """Adds 1 to 1,000 events to a session and waits until they are durable; one outcome per event.

        Raises:
            grpc.RpcError: NOT_FOUND if the session is unknown, INVALID_ARGUMENT if no event is
                well-formed, or UNAVAILABLE or DEADLINE_EXCEEDED: safe to call again.
        """
        request = service.PushEventsRequest(session_id=session_id, events=events)
        return list(self._call(self._stub.PushEvents, request, timeout).outcomes)

    def _call(self, method: Any, request: Any, timeout: float | None) -> Any:
        return method(request, timeout=self._timeout if timeout is None else timeout)

    def register(self, session: Session) -> None:
        """Queues a copy of a session; without `created_at` it gets the present time.

        Raises:
            QueueFullError: The queue is full and does not drop; nothing was queued.
            RuntimeError: The client is closed, or another process made it.
        """
        self._background.register(session)

    def push(self, session_id: str, event: Event) -> None:
        """Queues a copy of an event, to be sent after its session if that was queued here before.

        Without `created_at` the event gets the present time, without `event_id` a random one.

        Raises:
            QueueFullError: The queue is full and does not drop; nothing was queued.
            RuntimeError: The client is closed, or another process made it.
        """
        self._background.push(session_id, event)

    def flush(self, timeout: float) -> bool:
        """Sends what was queued so far without lingering; returns whether all of it has its outcome.

        Args:
            timeout: Seconds to wait at most.
        """
        return self._background.flush(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Flushes and disconnects. What is left after `timeout` seconds fails as CLIENT_CLOSED.

        Args:
            timeout: Seconds; None: `QueueSettings.close_timeout`.
        """
        self._background.close(timeout)
        self._channel.close()

    @property
    def stats(self) -> Stats:
        """The counters of what was queued, at this moment."""
        return self._background.stats

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
