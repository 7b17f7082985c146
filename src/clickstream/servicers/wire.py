"""Sessions and events: contract messages ↔ domain objects."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
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
from clickstream.improvement import ImprovementState, ImprovementTask
from clickstream.servicers.errors import short
from clickstream.sessions import (
    NO_EVENTS,
    Appended,
    EventDraft,
    SessionDraft,
    SessionEvents,
    StoredEvent,
    StoredSession,
)
from clickstream.split import Split

M = TypeVar("M", session_pb2.Session, session_pb2.Event)
Outcome = clickstream_service_pb2.EventOutcome
PushAnswer = TypeVar("PushAnswer", clickstream_service_pb2.PushEventsResponse, clickstream_service_pb2.IngestedEvents)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(at: datetime | None) -> Timestamp | None:
    """A time for the contract; None stays absent."""
    if at is None:
        return None
    converted = Timestamp()
    converted.FromDatetime(at.astimezone(UTC))
    return converted


def utc(value: Timestamp) -> datetime:
    """A timestamp as a datetime, cut to microseconds. Raises OverflowError if it is not a valid one."""
    return EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1_000)


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


def create_response(appended: Appended) -> bytes:
    """The encoding of a `CreateSessionResponse`."""
    rest = clickstream_service_pb2.CreateSessionResponse(created=appended.created)
    stored_session = message_field(rest.STORED_SESSION_FIELD_NUMBER, stored_session_bytes(appended.session))
    return stored_session + rest.SerializeToString()


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
        messages = [session_pb2.Event.FromString(event.payload) for event in events.events]
        acts = [SessionEvent(each.event_id, each.object_id, each.type, utc(each.created_at)) for each in messages]
    except (DecodeError, OverflowError) as error:
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
        events=acts,
        irrelevant=irrelevant,
        payload_search=search.payload_search,
        late_events=events.late,
        over_limit_events=events.omitted,
        searched_at=session.created_at,
    )


@lru_cache(maxsize=limits.EVENTS_PER_CALL)
def all_accepted(count: int) -> bytes:
    """The serialized answer to a push of which every event was stored: the ordinary one, so made once."""
    outcomes = [Outcome(code=Outcome.CODE_ACCEPTED)] * count
    return clickstream_service_pb2.PushEventsResponse(outcomes=outcomes, accepted_count=count).SerializeToString()


def push_answer(
    kind: type[PushAnswer],
    drafts: Sequence[EventDraft],
    holders: Sequence[StoredEvent | None],
    rejected: Mapping[int, FieldViolation],
) -> PushAnswer:
    """What became of each event of a push, given what held each draft's id already; `rejected` is by index."""
    kept = (_outcome(draft, holder) for draft, holder in zip(drafts, holders, strict=True))
    outcomes = [
        _rejection(rejected[index]) if index in rejected else next(kept) for index in range(len(drafts) + len(rejected))
    ]
    codes = [outcome.code for outcome in outcomes]
    return kind(
        outcomes=outcomes,
        accepted_count=codes.count(Outcome.CODE_ACCEPTED),
        duplicate_count=codes.count(Outcome.CODE_DUPLICATE),
        conflict_count=codes.count(Outcome.CODE_CONFLICT),
        rejected_count=codes.count(Outcome.CODE_REJECTED),
    )


def _outcome(draft: EventDraft, holder: StoredEvent | None) -> Outcome:
    if holder is None:
        return Outcome(code=Outcome.CODE_ACCEPTED)
    return Outcome(code=Outcome.CODE_DUPLICATE if same_event(draft, holder) else Outcome.CODE_CONFLICT)


def _rejection(violation: FieldViolation) -> Outcome:
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


def improvement_task(
    task: ImprovementTask, lease: tuple[str, datetime] | None = None
) -> batch_service_pb2.ImprovementTask:
    """A task for the contract, with the lease of its run."""
    owner, until = lease or ("", None)
    return batch_service_pb2.ImprovementTask(
        session_id=task.session_id,
        state=f"IMPROVEMENT_STATE_{task.state.name}",
        reason=task.reason,
        queued_at=timestamp(task.queued_at),
        updated_at=timestamp(task.updated_at),
        attempts=task.attempts,
        run_id=task.run_id,
        model_version_id=task.model_version_id,
        not_before=timestamp(task.not_before),
        batch_id=batch_id_of(task.batch),
        session_number=task.number,
        lease_owner=owner,
        lease_ends_at=timestamp(until),
    )


def improvement_summary(
    counts: Mapping[ImprovementState, int], open_run_id: str, split: Split, lack: str
) -> batch_service_pb2.ImprovementSummary:
    """What the queue holds, for the contract, given the split of the queries that wait and what it lacks."""
    return batch_service_pb2.ImprovementSummary(
        counts=[
            batch_service_pb2.ImprovementStateCount(state=f"IMPROVEMENT_STATE_{state.name}", count=counts[state])
            for state in ImprovementState
            if state in counts
        ],
        open_run_id=open_run_id,
        held_out_queries=split.held_out,
        training_queries=split.training,
        lack=lack,
    )
