"""One Ingest stream: reads messages ahead of their writes, and acknowledges them in their order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb

from clickstream.contract.sessions import push_answer
from clickstream.contract.statuses import short
from clickstream.dao.group_commit import OVERHEAD_BYTES, GroupCommit
from clickstream.domain import limits
from clickstream.domain.batches import batch_id_of
from clickstream.domain.errors import AlreadyExists, ClickstreamError, FieldViolation, InvalidArgument, NotFound
from clickstream.domain.sessions import Appended, EventDraft, EventPush, SessionDraft, StoredEvent
from clickstream.servicers.checks import admission
from clickstream.servicers.refusal_counts import RefusalCounts

# Errors of one message, which is answered with a failure. Any other error ends the stream.
REFUSALS = (InvalidArgument, NotFound, AlreadyExists)


class _Message(NamedTuple):
    """A message that was read and not acknowledged yet.

    `size` is what it counts in the window, in bytes. `done` is the result of its write, of which `answer` makes the
    acknowledgement. `client` is the name of the backend that a session carries, and
    `items` the number of sessions or events.
    """

    sequence: int
    size: int
    done: "asyncio.Future[Any]"
    answer: Callable[[Any], pb.IngestResponse]
    client: str
    items: int


class IngestStream:
    """A task reads messages and submits their writes; the call itself waits for the writes and acknowledges them.

    The task stops reading while `limits.INGEST_WINDOW_BYTES` are unacknowledged.
    """

    def __init__(
        self, commit: GroupCommit, arrival: Callable[[bool], admission.Arrival], refusals: RefusalCounts
    ) -> None:
        """Takes what writes, what makes the arrival of a message, given whether it is historical, and the counts."""
        self._commit = commit
        self._arrival = arrival
        self._refusals = refusals
        self._read: asyncio.Queue[_Message | None] = asyncio.Queue()
        self._unacknowledged = 0
        self._acknowledged = asyncio.Event()

    async def run(
        self, requests: AsyncIterator[pb.IngestRequest], write: Callable[[pb.IngestResponse], Awaitable[None]]
    ) -> None:
        """Serves the stream until its requests end and every message is acknowledged.

        Raises:
            Unavailable: The server stops, or the store did not answer. Messages after the last acknowledged one may
                be stored or not.
            InvalidArgument, ResourceExhausted: The message after the last acknowledged one cannot be read.
        """
        reading = asyncio.create_task(self._read_all(requests))
        try:
            while (message := await self._read.get()) is not None:
                await write(await self._acknowledgement(message))
                self._unacknowledged -= message.size
                self._acknowledged.set()
            await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            self._leave()

    def _leave(self) -> None:
        """Drops the messages that were not acknowledged. Writes that have begun are not undone."""
        while not self._read.empty():
            message = self._read.get_nowait()
            if message is not None and not message.done.cancel() and not message.done.cancelled():
                message.done.exception()  # taken, so that asyncio does not log it as never retrieved

    async def _read_all(self, requests: AsyncIterator[pb.IngestRequest]) -> None:
        last = 0
        try:
            async for request in requests:
                if request.sequence <= last:
                    raise InvalidArgument([FieldViolation("sequence", f"must be above {last}")])
                last = request.sequence
                message = await self._submitted(request)
                self._unacknowledged += message.size
                self._read.put_nowait(message)
                while self._unacknowledged >= limits.INGEST_WINDOW_BYTES:
                    self._acknowledged.clear()
                    await self._acknowledged.wait()
        finally:
            self._read.put_nowait(None)

    async def _submitted(self, request: pb.IngestRequest) -> _Message:
        """Submits the write of a message; an invalid message is refused instead."""
        size = request.ByteSize() + OVERHEAD_BYTES * max(1, len(request.events.events))
        done: asyncio.Future[Any]
        answer: Callable[[Any], pb.IngestResponse] = _no_answer
        try:
            at = self._arrival(request.historical)
            if request.HasField("session"):
                draft = admission.session(request.session, at)
                await self._commit.wait_for_room(size)
                done, answer = self._commit.append_session(draft, streamed=True), partial(_session_answer, draft)
            elif request.HasField("events"):
                drafts, rejected = admission.events(request.events, at, "events.")
                await self._commit.wait_for_room(size)
                done = self._commit.append_events(EventPush(request.events.session_id, drafts), streamed=True)
                answer = partial(self._events_answer, drafts, rejected)
            else:
                raise InvalidArgument([FieldViolation("content", "is required: a session or events")])
        except InvalidArgument as error:
            done = asyncio.get_running_loop().create_future()
            # Without its traceback, which would keep the parsed message until the garbage collector looks.
            done.set_exception(error.with_traceback(None))
        return _Message(
            request.sequence, size, done, answer, request.session.client.name, max(1, len(request.events.events))
        )

    async def _acknowledgement(self, message: _Message) -> pb.IngestResponse:
        try:
            response = message.answer(await message.done)
        except REFUSALS as error:
            self._refusals.note(error.reason, message.client, message.items)
            response = pb.IngestResponse(failure=_failure(error.with_traceback(None)))  # as in `_submitted`
        response.sequence = message.sequence
        return response

    def _events_answer(
        self, drafts: list[EventDraft], rejected: dict[int, FieldViolation], holders: list[StoredEvent | None]
    ) -> pb.IngestResponse:
        if not rejected and not any(holders):
            self._refusals.note_outcomes(len(drafts))
            return pb.IngestResponse(events=pb.IngestedEvents(accepted_count=len(drafts)))
        answer = push_answer(pb.IngestedEvents, drafts, holders, rejected)
        self._refusals.note_events(rejected.values(), answer.conflict_count)
        self._refusals.note_outcomes(
            answer.accepted_count, answer.duplicate_count, answer.conflict_count, answer.rejected_count
        )
        return pb.IngestResponse(events=answer)


def _no_answer(_: Any) -> pb.IngestResponse:
    raise AssertionError("a refused message has an error")


def _session_answer(draft: SessionDraft, appended: Appended) -> pb.IngestResponse:
    admission.require_same(draft, appended)
    place = appended.session
    ingested = pb.IngestedSession(
        created=appended.created, batch_id=batch_id_of(place.batch), session_number=place.number
    )
    return pb.IngestResponse(session=ingested)


def _failure(error: ClickstreamError) -> pb.IngestFailure:
    failure = pb.IngestFailure(reason=f"ERROR_REASON_{error.reason}", description=short(error.message))
    if isinstance(error, InvalidArgument):
        failure.field = short(error.violations[0].field)
        for violation in error.violations:
            failure.violations.add(
                field=short(violation.field),
                reason=f"ERROR_REASON_{violation.reason}",
                description=short(violation.description),
            )
    else:
        failure.field = "events.session_id" if isinstance(error, NotFound) else "session.session_id"
    return failure
