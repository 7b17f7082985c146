"""Sessions and events: contract messages ↔ domain objects."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar, cast

from embedding_studio.clickstream.v1 import (
    batch_service_pb2,
    clickstream_service_pb2,
    session_pb2,
)
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from clickstream import limits
from clickstream.batches import Batch, batch_id_of
from clickstream.converter import SearchSession, SessionEvent, ShownResult
from clickstream.errors import FieldViolation
from clickstream.improvement import ImprovementTask
from clickstream.servicers.errors import short
from clickstream.servicers.validation import utc
from clickstream.sessions import (
    NO_EVENTS,
    EventDraft,
    SessionDraft,
    SessionEvents,
    StoredEvent,
    StoredSession,
)

M = TypeVar("M", session_pb2.Session, session_pb2.Event)
Outcome = clickstream_service_pb2.EventOutcome


def timestamp(at: datetime | None) -> Timestamp | None:
    """A time for the contract; None stays absent."""
    if at is None:
        return None
    converted = Timestamp()
    converted.FromDatetime(at.astimezone(UTC))
    return converted


def session_draft(session: session_pb2.Session, now: datetime) -> SessionDraft:
    """A checked session, with its time and positions filled in."""
    server_time = _fill_created_at(session, now)
    for position, result in enumerate(session.results):
        if not result.HasField("position"):
            result.position = position
    return SessionDraft(
        session_id=session.session_id,
        created_at=utc(session.created_at),
        server_time=server_time,
        user_id=session.user_id,
        payload=session.SerializeToString(),
    )


def event_draft(event: session_pb2.Event, now: datetime) -> EventDraft:
    """A checked event, with its time filled in."""
    server_time = _fill_created_at(event, now)
    return EventDraft(
        event_id=event.event_id,
        type=event.type,
        created_at=utc(event.created_at),
        server_time=server_time,
        payload=event.SerializeToString(),
    )


def _fill_created_at(message: session_pb2.Session | session_pb2.Event, now: datetime) -> bool:
    if message.HasField("created_at"):
        return False
    message.created_at.FromDatetime(now)
    return True


def same_session(draft: SessionDraft, stored: StoredSession) -> bool:
    """Whether the client sent what is stored (R1)."""
    sent = (draft.payload, draft.server_time)
    return _same(session_pb2.Session, sent, (stored.payload, stored.server_time))


def same_event(draft: EventDraft, stored: StoredEvent) -> bool:
    """Whether the client sent what is stored (R2)."""
    return _same(session_pb2.Event, (draft.payload, draft.server_time), (stored.payload, stored.server_time))


def _same(kind: type[M], sent: tuple[bytes, bool], stored: tuple[bytes, bool]) -> bool:
    """Compares by meaning: equal messages may differ in bytes. A time of the server's is nobody's content."""
    messages = []
    for payload, server_time in (sent, stored):
        message = kind.FromString(payload)
        if server_time:
            message.ClearField("created_at")
        messages.append(message)
    return bool(messages[0] == messages[1])


def stored_session(session: StoredSession, events: SessionEvents = NO_EVENTS) -> session_pb2.StoredSession:
    """A session with its listed events, for the contract."""
    return session_pb2.StoredSession.FromString(stored_session_bytes(session, events))


def stored_session_bytes(session: StoredSession, events: SessionEvents = NO_EVENTS) -> bytes:
    """The encoding of a `StoredSession`, around the payloads as they are kept.

    Parsing and serializing them again would cost more than the rest of a batch read. By
    https://protobuf.dev/programming-guides/encoding a message within a message is its own encoding behind tag
    and length, and encodings of parts of a message, one after the other, are an encoding of the whole.
    """
    rest = session_pb2.StoredSession(
        batch_id=batch_id_of(session.batch),
        session_number=session.number,
        irrelevant=session.irrelevant_at is not None,
        irrelevant_at=timestamp(session.irrelevant_at),
        omitted_events=events.omitted,
    )
    parts = [_tag_and_length(_SESSION, len(session.payload)), session.payload, rest.SerializeToString()]
    for event in events.events:
        parts += (_tag_and_length(_EVENTS, len(event.payload)), event.payload)
    return b"".join(parts)


def message_field(number: int, encoded: bytes) -> bytes:
    """An encoded message as the field with this number of another message."""
    return _tag_and_length(number, len(encoded)) + encoded


_SESSION = session_pb2.StoredSession.SESSION_FIELD_NUMBER
_EVENTS = session_pb2.StoredSession.EVENTS_FIELD_NUMBER
_LENGTH_DELIMITED = 2


@lru_cache(maxsize=4096)
def _tag_and_length(number: int, length: int) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(length)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def search_session(session: StoredSession, events: SessionEvents, irrelevant: bool) -> SearchSession:
    """A session for the converter. Raises ValueError if its payload cannot be read."""
    try:
        search = session_pb2.Session.FromString(session.payload)
        acts = [session_pb2.Event.FromString(event.payload) for event in events.events]
    except DecodeError as error:
        raise ValueError(f"the payload of session number {session.number} cannot be read") from error
    return SearchSession(
        session_id=session.session_id,
        batch_id=batch_id_of(session.batch),
        number=session.number,
        query=search.query,
        results=[
            # A Struct reads like a dict; copying it out would cost more than the whole conversion.
            ShownResult(result.object_id, result.position, cast(Mapping[str, Any], result.meta))
            for result in search.results
        ],
        events=[SessionEvent(act.event_id, act.object_id, act.type, utc(act.created_at)) for act in acts],
        irrelevant=irrelevant,
        payload_search=search.payload_search,
        late_events=events.late,
        over_limit_events=events.omitted,
    )


def outcome_of(draft: EventDraft, holder: StoredEvent | None) -> Outcome:
    """What became of an event, given what held its id already."""
    if holder is None:
        return Outcome(code=Outcome.CODE_ACCEPTED)
    return Outcome(code=Outcome.CODE_DUPLICATE if same_event(draft, holder) else Outcome.CODE_CONFLICT)


def rejection(violation: FieldViolation) -> Outcome:
    """The outcome of a malformed event."""
    return Outcome(
        code=Outcome.CODE_REJECTED,
        field=short(violation.field),
        reason=f"ERROR_REASON_{violation.reason}",
        description=short(violation.description),
    )


def batch(found: Batch) -> batch_service_pb2.Batch:
    """A batch for the contract."""
    return batch_service_pb2.Batch(
        batch_id=found.batch_id,
        status=f"BATCH_STATUS_{found.status.name}",
        session_count=found.session_count,
        opened_at=timestamp(found.opened_at),
        released_at=timestamp(found.released_at),
        release_id=found.release_id,
        run_id=found.run_id,
        history=[
            batch_service_pb2.BatchStatusChange(
                status=f"BATCH_STATUS_{change.status.name}", at=timestamp(change.at), reason=change.reason
            )
            for change in found.history
        ],
    )


def batches(found: Sequence[Batch]) -> list[batch_service_pb2.Batch]:
    """The first of these batches for the contract: as many as fit one page, and at least one."""
    page: list[batch_service_pb2.Batch] = []
    size = 0
    for each in found:
        message = batch(each)
        size += message.ByteSize()
        if page and size > limits.PAGE_BYTES:
            break
        page.append(message)
    return page


def improvement_task(task: ImprovementTask) -> batch_service_pb2.ImprovementTask:
    """A task for the contract."""
    return batch_service_pb2.ImprovementTask(
        session_id=task.session_id,
        state=f"IMPROVEMENT_STATE_{task.state.name}",
        reason=task.reason,
        queued_at=timestamp(task.queued_at),
        updated_at=timestamp(task.updated_at),
    )
