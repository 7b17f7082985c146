"""The client for asyncio."""

import asyncio
from collections.abc import Iterable
from typing import Any, Self

import grpc
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as service
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from embedding_studio.clickstream.v1.session_pb2 import Event, Session, StoredSession

from clickstream.client.background import Background, OnFailure
from clickstream.client.channel import open_aio_channel
from clickstream.client.outbox import Stats
from clickstream.client.queue_settings import QueueSettings


class AsyncClickstreamClient:
    """ClickstreamClient for one event loop, inside which it must be made: direct calls are awaited.

    What is queued is sent by threads, as in the blocking client, so it does not end with the loop:
    all that ClickstreamClient promises of it holds here.
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
        """Takes what ClickstreamClient takes. `on_failure` is called in a thread, not in the loop."""
        self._timeout = timeout
        self._channel = open_aio_channel(address, credentials)
        self._stub: Any = ClickstreamServiceStub(self._channel)
        self._background = Background(address, credentials, queue, on_failure)

    async def create_session(self, session: Session, timeout: float | None = None) -> service.CreateSessionResponse:
        """See ClickstreamClient."""
        response: service.CreateSessionResponse = await self._call(
            self._stub.CreateSession, service.CreateSessionRequest(session=session), timeout
        )
        return response

    async def get_session(self, session_id: str, timeout: float | None = None) -> StoredSession:
        """See ClickstreamClient."""
        response = await self._call(self._stub.GetSession, service.GetSessionRequest(session_id=session_id), timeout)
        stored: StoredSession = response.stored_session
        return stored

    async def mark_irrelevant(self, session_id: str, timeout: float | None = None) -> StoredSession:
        """See ClickstreamClient."""
        request = service.MarkSessionIrrelevantRequest(session_id=session_id)
        stored: StoredSession = (await self._call(self._stub.MarkSessionIrrelevant, request, timeout)).stored_session
        return stored

    async def restore(self, session_id: str, timeout: float | None = None) -> StoredSession:
        """See ClickstreamClient."""
        request = service.RestoreSessionRequest(session_id=session_id)
        stored: StoredSession = (await self._call(self._stub.RestoreSession, request, timeout)).stored_session
        return stored

    async def push_events(
        self, session_id: str, events: Iterable[Event], timeout: float | None = None
    ) -> list[service.EventOutcome]:
        """See ClickstreamClient."""
        request = service.PushEventsRequest(session_id=session_id, events=events)
        return list((await self._call(self._stub.PushEvents, request, timeout)).outcomes)

    async def _call(self, method: Any, request: Any, timeout: float | None) -> Any:
        return await method(request, timeout=self._timeout if timeout is None else timeout)

    def register(self, session: Session) -> None:
        """See ClickstreamClient. Never waits: there is nothing to await."""
        self._background.register(session)

    def push(self, session_id: str, event: Event) -> None:
        """See ClickstreamClient. Never waits: there is nothing to await."""
        self._background.push(session_id, event)

    async def flush(self, timeout: float) -> bool:
        """See ClickstreamClient."""
        return await asyncio.to_thread(self._background.flush, timeout)

    async def close(self, timeout: float | None = None) -> None:
        """See ClickstreamClient."""
        await asyncio.to_thread(self._background.close, timeout)
        await self._channel.close()

    @property
    def stats(self) -> Stats:
        """See ClickstreamClient."""
        return self._background.stats

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
