"""ClickstreamService: what backends call."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceServicer

from clickstream import limits
from clickstream.commit import GroupCommit
from clickstream.dao.interface import ClickstreamDao
from clickstream.errors import AlreadyExists, FieldViolation, InvalidArgument, NotFound
from clickstream.servicers import validation, wire
from clickstream.servicers.boundary import Context
from clickstream.sessions import NO_EVENTS, EventDraft, EventPush, SessionEvents, StoredSession

Outcome = pb.EventOutcome


class ClickstreamServicer(ClickstreamServiceServicer):
    """Writes go through the group commit; reads go to the store by themselves."""

    def __init__(
        self, dao: ClickstreamDao, commit: GroupCommit, window: validation.Window, clock: Callable[[], datetime]
    ) -> None:
        self._dao = dao
        self._commit = commit
        self._window = window
        self._clock = clock

    async def CreateSession(self, request: pb.CreateSessionRequest, context: Context) -> pb.CreateSessionResponse:  # noqa: N802
        """See the contract."""
        now = self._clock()
        validation.check_session(request.session, None if request.historical else self._window, now)
        draft = wire.session_draft(request.session, now)
        appended = await self._commit.append_session(draft)
        if not appended.created and not wire.same_session(draft, appended.session):
            raise AlreadyExists("CONTENT_CONFLICT", "session.session_id: taken by a session with other content")
        return pb.CreateSessionResponse(stored_session=wire.stored_session(appended.session), created=appended.created)

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

    async def PushEvents(self, request: pb.PushEventsRequest, context: Context) -> pb.PushEventsResponse:  # noqa: N802
        """See the contract."""
        outcomes, drafts = self._check_push(request)
        holders = await self._commit.append_events(EventPush(request.session_id, list(drafts.values())))
        for (index, draft), holder in zip(drafts.items(), holders, strict=True):
            outcomes[index] = wire.outcome_of(draft, holder)
        codes = [outcomes[index].code for index in range(len(request.events))]
        return pb.PushEventsResponse(
            outcomes=[outcomes[index] for index in range(len(request.events))],
            accepted_count=codes.count(Outcome.CODE_ACCEPTED),
            duplicate_count=codes.count(Outcome.CODE_DUPLICATE),
            conflict_count=codes.count(Outcome.CODE_CONFLICT),
            rejected_count=codes.count(Outcome.CODE_REJECTED),
        )

    def _check_push(self, request: pb.PushEventsRequest) -> tuple[dict[int, Outcome], dict[int, EventDraft]]:
        """The outcomes of the bad events and the drafts of the good ones, by index; at least one is good."""
        violations: validation.Violations = []
        validation.check_id(request.session_id, "session_id", violations)
        if not request.events:
            violations.append(FieldViolation("events", "is required"))
        if len(request.events) > limits.EVENTS_PER_CALL:
            description = f"has {len(request.events)} events; {limits.EVENTS_PER_CALL} are allowed"
            violations.append(FieldViolation("events", description, validation.LIMIT))
        validation.require(violations)
        now = self._clock()
        window = None if request.historical else self._window
        outcomes: dict[int, Outcome] = {}
        drafts: dict[int, EventDraft] = {}
        for index, event in enumerate(request.events):
            if found := validation.check_event(event, f"events[{index}]", window, now):
                outcomes[index] = wire.rejection(found[0])
                violations += found
            else:
                drafts[index] = wire.event_draft(event, now)
        if not drafts:
            raise InvalidArgument(violations)
        return outcomes, drafts

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
