"""ClickstreamService: search backends send sessions and events."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceServicer
from typing_extensions import override

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
from clickstream.servicers.ingest import REFUSALS, IngestStream
from clickstream.servicers.lookups import existing_session
from clickstream.servicers.refusal_counts import RefusalCounts
from clickstream.servicers.slow_reads import slow_read


class ClickstreamServicer(ClickstreamServiceServicer):
    """Writes sessions and events through the group commit; everything else goes straight to the store."""

    def __init__(
        self,
        dao: ClickstreamDao,
        commit: GroupCommit,
        window: fields.Window,
        refusals: RefusalCounts,
        clock: Callable[[], datetime],
    ) -> None:
        self._dao = dao
        self._commit = commit
        self._window = window
        self._refusals = refusals
        self._clock = clock
        self._last = admission.arrival(clock(), window)

    @override
    async def CreateSession(self, request: pb.CreateSessionRequest, context: Context) -> pb.CreateSessionResponse:
        try:
            draft = admission.session(request.session, self._arrival(request.historical))
            appended = await self._commit.append_session(draft)
            admission.require_same(draft, appended)
        except REFUSALS as error:
            self._refusals.note(error.reason, request.session.client.name)
            raise
        return create_response(appended, request.session.created_at)

    @override
    async def GetSession(self, request: pb.GetSessionRequest, context: Context) -> bytes:
        session_id = fields.checked_id(request.session_id, "session_id")
        session, events = await slow_read(self._read, session_id)
        stored_session = stored_session_bytes(session, events)
        return message_field(pb.GetSessionResponse.STORED_SESSION_FIELD_NUMBER, stored_session)

    def _read(self, session_id: str) -> tuple[StoredSession, SessionEvents]:
        session = existing_session(self._dao.sessions.get(session_id))
        if session.erased:
            return session, NO_EVENTS
        events = self._dao.events.of_sessions(session.batch, session.number, session.number)
        return session, events.of.get(session.number, NO_EVENTS)

    @override
    async def PushEvents(self, request: pb.PushEventsRequest, context: Context) -> pb.PushEventsResponse | bytes:
        try:
            drafts, rejected = admission.events(request, self._arrival(request.historical))
            holders = await self._commit.append_events(EventPush(request.session_id, drafts))
        except REFUSALS as error:
            self._refusals.note(error.reason, "", max(1, len(request.events)))
            raise
        if not rejected and not any(holders):
            self._refusals.note_outcomes(len(drafts))
            return all_accepted(len(drafts))
        answer = push_answer(pb.PushEventsResponse, drafts, holders, rejected)
        self._refusals.note_events(rejected.values(), answer.conflict_count)
        self._refusals.note_outcomes(
            answer.accepted_count, answer.duplicate_count, answer.conflict_count, answer.rejected_count
        )
        return answer

    @override
    async def Ingest(self, request_iterator: AsyncIterator[pb.IngestRequest], context: Context) -> None:
        await IngestStream(self._commit, self._arrival, self._refusals).run(request_iterator, context.write)

    def _arrival(self, historical: bool) -> admission.Arrival:
        """The arrival of a call now; a historical one may name any time."""
        now = self._clock()
        if historical:
            return admission.arrival(now, None)
        if now is not self._last.now:  # the clock returns one object per millisecond: its calls share the arrival
            self._last = admission.arrival(now, self._window)
        return self._last

    @override
    async def MarkSessionIrrelevant(
        self, request: pb.MarkSessionIrrelevantRequest, context: Context
    ) -> pb.MarkSessionIrrelevantResponse:
        session_id = fields.checked_id(request.session_id, "session_id")
        marked = await asyncio.to_thread(self._dao.sessions.mark_irrelevant, session_id, self._clock())
        return pb.MarkSessionIrrelevantResponse(stored_session=stored_session_message(existing_session(marked)))

    @override
    async def RestoreSession(self, request: pb.RestoreSessionRequest, context: Context) -> pb.RestoreSessionResponse:
        session_id = fields.checked_id(request.session_id, "session_id")
        restored = await asyncio.to_thread(self._dao.sessions.restore, session_id)
        return pb.RestoreSessionResponse(stored_session=stored_session_message(existing_session(restored)))
