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
from clickstream.improvement import ImprovementTask
from clickstream.servicers.errors import short
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
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(at: datetime | None) -> Timestamp | None:
    """A time for the contract; None stays absent."""
    if at is None:
        return None
    converted = Timestamp()
    converted.FromDatetime(at.astimezone(UTC))
    return converted


def utc(value: Timestamp) -> datetime:
    """A valid timestamp as a datetime, cut to microseconds."""
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
    return session_pb2.StoredSession(
        session=session_pb2.Session.FromString(session.payload),
        batch_id=batch_id_of(session.batch),
        session_number=session.number,
        irrelevant=session.irrelevant_at is not None,
        irrelevant_at=timestamp(session.irrelevant_at),
        events=[session_pb2.Event.FromString(event.payload) for event in events.events],
        omitted_events=events.omitted,
    )


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


@lru_cache(maxsize=limits.EVENTS_PER_CALL)
def all_accepted(count: int) -> bytes:
    """The serialized answer to a push of which every event was stored: the ordinary one, so made once."""
    outcomes = [Outcome(code=Outcome.CODE_ACCEPTED)] * count
    answer = clickstream_service_pb2.PushEventsResponse(outcomes=outcomes, accepted_count=count)
    return answer.SerializeToString()


def push_response(
    drafts: Sequence[EventDraft], holders: Sequence[StoredEvent | None], rejected: Mapping[int, FieldViolation]
) -> clickstream_service_pb2.PushEventsResponse:
    """What became of each event of a push, given what held each draft's id already; `rejected` is by index."""
    kept = (_outcome(draft, holder) for draft, holder in zip(drafts, holders, strict=True))
    outcomes = [
        _rejection(rejected[index]) if index in rejected else next(kept) for index in range(len(drafts) + len(rejected))
    ]
    codes = [outcome.code for outcome in outcomes]
    return clickstream_service_pb2.PushEventsResponse(
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


def improvement_task(task: ImprovementTask) -> batch_service_pb2.ImprovementTask:
    """A task for the contract."""
    return batch_service_pb2.ImprovementTask(
        session_id=task.session_id,
        state=f"IMPROVEMENT_STATE_{task.state.name}",
        reason=task.reason,
        queued_at=timestamp(task.queued_at),
        updated_at=timestamp(task.updated_at),
    )
