"""ClickstreamService: what backends call."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceServicer

from clickstream.contract.encoding import message_field
from clickstream.contract.sessions import (
    all_accepted,
    create_response,
    push_answer,
    stored_session_bytes,
    stored_session_message,
)
from clickstream.dao.group_commit import GroupCommit
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.sessions import NO_EVENTS, EventPush, SessionEvents, StoredSession
from clickstream.servicers.boundary import Context
from clickstream.servicers.checks import admission, fields
from clickstream.servicers.ingest import IngestStream
from clickstream.servicers.lookups import known


class ClickstreamServicer(ClickstreamServiceServicer):
    """Writes go through the group commit; reads go to the store by themselves."""

    def __init__(
        self, dao: ClickstreamDao, commit: GroupCommit, window: fields.Window, clock: Callable[[], datetime]
    ) -> None:
        self._dao = dao
        self._commit = commit
        self._window = window
        self._clock = clock
        self._last = admission.arrival(clock(), window)

    async def CreateSession(  # noqa: N802
        self, request: pb.CreateSessionRequest, context: Context
    ) -> pb.CreateSessionResponse:
        """See the contract."""
        draft = admission.session(request.session, self._arrival(request.historical))
        appended = await self._commit.append_session(draft)
        admission.require_same(draft, appended)
        return create_response(appended, request.session.created_at)

    async def GetSession(self, request: pb.GetSessionRequest, context: Context) -> bytes:  # noqa: N802
        """See the contract."""
        session_id = fields.checked_id(request.session_id, "session_id")
        session, events = await asyncio.to_thread(self._read, session_id)
        stored_session = stored_session_bytes(session, events)
        return message_field(pb.GetSessionResponse.STORED_SESSION_FIELD_NUMBER, stored_session)

    def _read(self, session_id: str) -> tuple[StoredSession, SessionEvents]:
        session = known(self._dao.sessions.get(session_id))
        if session.erased:
            return session, NO_EVENTS
        events = self._dao.events.of_sessions(session.batch, session.number, session.number)
        return session, events.of.get(session.number, NO_EVENTS)

    async def PushEvents(  # noqa: N802
        self, request: pb.PushEventsRequest, context: Context
    ) -> pb.PushEventsResponse | bytes:
        """See the contract."""
        drafts, rejected = admission.events(request, self._arrival(request.historical))
        holders = await self._commit.append_events(EventPush(request.session_id, drafts))
        if not rejected and not any(holders):
            return all_accepted(len(drafts))
        return push_answer(pb.PushEventsResponse, drafts, holders, rejected)

    async def Ingest(self, request_iterator: AsyncIterator[pb.IngestRequest], context: Context) -> None:  # noqa: N802
        """See the contract."""
        await IngestStream(self._commit, self._arrival).run(request_iterator, context.write)

    def _arrival(self, historical: bool) -> admission.Arrival:
        now = self._clock()
        if historical:
            return admission.arrival(now, None)
        if now is not self._last.now:  # calls within a millisecond share it
            self._last = admission.arrival(now, self._window)
        return self._last

    async def MarkSessionIrrelevant(  # noqa: N802
        self, request: pb.MarkSessionIrrelevantRequest, context: Context
    ) -> pb.MarkSessionIrrelevantResponse:
        """See the contract."""
        session_id = fields.checked_id(request.session_id, "session_id")
        marked = known(await asyncio.to_thread(self._dao.sessions.mark_irrelevant, session_id, self._clock()))
        return pb.MarkSessionIrrelevantResponse(stored_session=stored_session_message(marked))

    async def RestoreSession(self, request: pb.RestoreSessionRequest, context: Context) -> pb.RestoreSessionResponse:  # noqa: N802
        """See the contract."""
        session_id = fields.checked_id(request.session_id, "session_id")
        restored = known(await asyncio.to_thread(self._dao.sessions.restore, session_id))
        return pb.RestoreSessionResponse(stored_session=stored_session_message(restored))
