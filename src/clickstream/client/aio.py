"""The client for asyncio."""

import asyncio
from collections.abc import Iterable
from typing import Any, Self

from embedding_studio.clickstream.v1 import clickstream_service_pb2 as service
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from embedding_studio.clickstream.v1.session_pb2 import Event, Session, StoredSession

from clickstream.client.background import Background, OnFailure
from clickstream.client.channel import AnyCredentials, open_aio_channel
from clickstream.client.queue_reports import Stats
from clickstream.client.queue_settings import QueueSettings


class AsyncClickstreamClient:
    """The client for asyncio. Its methods and promises are those of ClickstreamClient, with these differences.

    Direct calls, `flush` and `close` are awaited. `register` and `push` are plain functions: they never wait.
    Threads send what is queued, as in the blocking client, so the queue does not end with the event loop.

    Thread safety:
        Make the client inside a running event loop, and await its methods in that loop only. `register`, `push` and
        `stats` may be used from any thread.
    """

    def __init__(
        self,
        address: str,
        *,
        credentials: AnyCredentials = None,
        timeout: float = 5.0,
        queue: QueueSettings = QueueSettings(),  # noqa: B008 -- frozen
        on_failure: OnFailure | None = None,
    ) -> None:
        """Makes a client that connects with its first call.

        Args:
            address: `host:port` of the server's client port.
            credentials: Token and certificates, as `Credentials`; those of gRPC itself work, too. None sends plain
                text.
            timeout: Default deadline of direct calls, in seconds, all attempts included.
            queue: Bounds and batching of the background queue.
            on_failure: Called with each queued item that will not be stored. It runs in a thread of the client, not
                in the event loop. It may call `push` and `register` until the client closes.
        """
        self._timeout = timeout
        self._channel = open_aio_channel(address, credentials)
        self._stub: Any = ClickstreamServiceStub(self._channel)
        self._background = Background(address, credentials, queue, on_failure)

    async def create_session(self, session: Session, timeout: float | None = None) -> service.CreateSessionResponse:
        """Registers a session and waits until it is durable.

        Args:
            session: The search. Without `created_at`, the server's time counts.
            timeout: Deadline in seconds; None takes the client's own.

        Returns:
            Batch and number of the session, its time as stored, and `created`: false if it was registered before.

        Raises:
            grpc.RpcError: ALREADY_EXISTS if the id is taken by other content; INVALID_ARGUMENT if the session is
                malformed; UNAVAILABLE or DEADLINE_EXCEEDED if the outcome is unknown: safe to call again.
        """
        response: service.CreateSessionResponse = await self._call(
            self._stub.CreateSession, service.CreateSessionRequest(session=session), timeout
        )
        return response

    async def get_session(self, session_id: str, timeout: float | None = None) -> StoredSession:
        """Reads a session with its events.

        Args:
            session_id: The session's id.
            timeout: Deadline in seconds; None takes the client's own.

        Raises:
            grpc.RpcError: NOT_FOUND if the session was never registered; UNAVAILABLE or DEADLINE_EXCEEDED.
        """
        response = await self._call(self._stub.GetSession, service.GetSessionRequest(session_id=session_id), timeout)
        stored: StoredSession = response.stored_session
        return stored

    async def mark_irrelevant(self, session_id: str, timeout: float | None = None) -> StoredSession:
        """Excludes a session from batch reads and from training; a second mark changes nothing.

        Args:
            session_id: The session's id.
            timeout: Deadline in seconds; None takes the client's own.

        Returns:
            The session as stored now, without its events.

        Raises:
            grpc.RpcError: NOT_FOUND if the session is unknown; UNAVAILABLE or DEADLINE_EXCEEDED: safe to call again.
        """
        request = service.MarkSessionIrrelevantRequest(session_id=session_id)
        stored: StoredSession = (await self._call(self._stub.MarkSessionIrrelevant, request, timeout)).stored_session
        return stored

    async def restore(self, session_id: str, timeout: float | None = None) -> StoredSession:
        """Takes back the mark of `mark_irrelevant`; without a mark it changes nothing.

        Args:
            session_id: The session's id.
            timeout: Deadline in seconds; None takes the client's own.

        Returns:
            The session as stored now, without its events.

        Raises:
            grpc.RpcError: NOT_FOUND if the session is unknown; UNAVAILABLE or DEADLINE_EXCEEDED: safe to call again.
        """
        request = service.RestoreSessionRequest(session_id=session_id)
        stored: StoredSession = (await self._call(self._stub.RestoreSession, request, timeout)).stored_session
        return stored

    async def push_events(
        self, session_id: str, events: Iterable[Event], timeout: float | None = None
    ) -> list[service.EventOutcome]:
        """Adds events to a session and waits until they are durable.

        Args:
            session_id: The session's id.
            events: 1 to 1,000 events. Without `created_at`, the server's time counts.
            timeout: Deadline in seconds; None takes the client's own.

        Returns:
            One outcome per event, in their order: accepted, duplicate, conflict or rejected.

        Raises:
            grpc.RpcError: NOT_FOUND if the session is unknown; INVALID_ARGUMENT if no event is well-formed;
                UNAVAILABLE or DEADLINE_EXCEEDED if the outcome is unknown: safe to call again.
        """
        request = service.PushEventsRequest(session_id=session_id, events=events)
        return list((await self._call(self._stub.PushEvents, request, timeout)).outcomes)

    async def _call(self, method: Any, request: Any, timeout: float | None) -> Any:
        return await method(request, timeout=self._timeout if timeout is None else timeout)

    def register(self, session: Session) -> None:
        """Queues a copy of a session; never waits. Without `created_at` the copy gets the present time.

        Raises:
            QueueFullError: The queue is full and `QueueSettings.overflow` is `raise`; nothing was queued.
            RuntimeError: The client is closed, or was made by another process.
        """
        self._background.register(session)

    def push(self, session_id: str, event: Event) -> None:
        """Queues a copy of an event; never waits. It is sent after its session, if that was queued here before.

        Without `created_at` the copy gets the present time, without `event_id` a random one.

        Raises:
            QueueFullError: The queue is full and `QueueSettings.overflow` is `raise`; nothing was queued.
            RuntimeError: The client is closed, or was made by another process.
        """
        self._background.push(session_id, event)

    async def flush(self, timeout: float) -> bool:
        """Sends at once what was queued before this call, and waits until each item has its outcome.

        Args:
            timeout: Seconds to wait at most. Other tasks of the event loop run meanwhile.

        Returns:
            Whether every such item has its outcome: stored, or failed and counted.

        Raises:
            RuntimeError: The client was made by another process.
        """
        return await asyncio.to_thread(self._background.flush, timeout)

    async def close(self, timeout: float | None = None) -> None:
        """Flushes and disconnects; a second call changes nothing.

        What has no outcome after `timeout` seconds fails as CLIENT_CLOSED: whether it was stored is unknown.

        Args:
            timeout: Seconds to wait at most; None takes `QueueSettings.close_timeout`.
        """
        await asyncio.to_thread(self._background.close, timeout)
        await self._channel.close()

    @property
    def stats(self) -> Stats:
        """The counters of the background queue at this moment."""
        return self._background.stats

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
