"""ClickstreamService: what backends call."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceServicer

from clickstream.commit import GroupCommit
from clickstream.dao.interface import ClickstreamDao
from clickstream.errors import AlreadyExists, FieldViolation, InvalidArgument, NotFound
from clickstream.servicers import admission, validation, wire
from clickstream.servicers.boundary import Context
from clickstream.sessions import NO_EVENTS, EventDraft, EventPush, SessionEvents, StoredSession


class ClickstreamServicer(ClickstreamServiceServicer):
    """Writes go through the group commit; reads go to the store by themselves."""

    def __init__(
        self, dao: ClickstreamDao, commit: GroupCommit, window: validation.Window, clock: Callable[[], datetime]
    ) -> None:
        self._dao = dao
        self._commit = commit
        self._window = window
        self._clock = clock
        self._last = admission.arrival(clock(), window)

    async def CreateSession(self, request: pb.CreateSessionRequest, context: Context) -> bytes:  # noqa: N802
        """See the contract."""
        draft = admission.session(request.session, self._arrival(request.historical))
        appended = await self._commit.append_session(draft)
        if not appended.created and not wire.same_session(draft, appended.session):
            raise AlreadyExists("CONTENT_CONFLICT", "session.session_id: taken by a session with other content")
        return wire.create_response(appended)

    async def GetSession(self, request: pb.GetSessionRequest, context: Context) -> bytes:  # noqa: N802
        """See the contract."""
        session_id = validation.checked_id(request.session_id, "session_id")
        session, events = await asyncio.to_thread(self._read, session_id)
        stored_session = wire.stored_session_bytes(session, events)
        return wire.message_field(pb.GetSessionResponse.STORED_SESSION_FIELD_NUMBER, stored_session)

    def _read(self, session_id: str) -> tuple[StoredSession, SessionEvents]:
        session = known(self._dao.sessions.get(session_id))
        events = self._dao.events.of_sessions(session.batch, session.number, session.number)
        return session, events.of.get(session.number, NO_EVENTS)

    async def PushEvents(  # noqa: N802
        self, request: pb.PushEventsRequest, context: Context
    ) -> pb.PushEventsResponse | bytes:
        """See the contract."""
        drafts, rejected = self._admit(request)
        holders = await self._commit.append_events(EventPush(request.session_id, drafts))
        if not rejected and not any(holders):
            return wire.all_accepted(len(drafts))
        return wire.push_response(drafts, holders, rejected)

    def _admit(self, request: pb.PushEventsRequest) -> tuple[list[EventDraft], dict[int, FieldViolation]]:
        """The drafts of the good events, of which there is one, and by index what is wrong with the bad ones."""
        violations: validation.Violations = []
        validation.check_id(request.session_id, "session_id", violations)
        validation.check_event_count(len(request.events), violations)
        validation.require(violations)
        at = self._arrival(request.historical)
        drafts: list[EventDraft] = []
        rejected: dict[int, FieldViolation] = {}
        for index, event in enumerate(request.events):
            admitted = admission.event(event, f"events[{index}]", at)
            if isinstance(admitted, EventDraft):
                drafts.append(admitted)
            else:
                rejected[index] = admitted[0]
                violations += admitted
        if not drafts:
            raise InvalidArgument(violations)
        return drafts, rejected

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
        session_id = validation.checked_id(request.session_id, "session_id")
        marked = known(await asyncio.to_thread(self._dao.sessions.mark_irrelevant, session_id, self._clock()))
        return pb.MarkSessionIrrelevantResponse(stored_session=wire.stored_session(marked))

    async def RestoreSession(self, request: pb.RestoreSessionRequest, context: Context) -> pb.RestoreSessionResponse:  # noqa: N802
        """See the contract."""
        session_id = validation.checked_id(request.session_id, "session_id")
        restored = known(await asyncio.to_thread(self._dao.sessions.restore, session_id))
        return pb.RestoreSessionResponse(stored_session=wire.stored_session(restored))


def known(session: StoredSession | None) -> StoredSession:
    """The session, if there is one. Raises NotFound."""
    if session is None:
        raise NotFound("SESSION_NOT_FOUND", "session_id: no session has this id")
    return session
