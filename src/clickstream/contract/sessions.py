"""Sessions and events: domain objects to contract messages, and stored sessions to what conversion reads."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar, cast

from embedding_studio.clickstream.v1 import (
    clickstream_service_pb2,
    session_pb2,
)
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from clickstream.contract.encoding import (
    tag_and_length,
    timestamp,
    utc,
)
from clickstream.contract.same_content import same_event
from clickstream.contract.statuses import short
from clickstream.domain import limits
from clickstream.domain.batches import batch_id_of
from clickstream.domain.errors import FieldViolation
from clickstream.domain.sessions import (
    NO_EVENTS,
    Appended,
    EventDraft,
    SessionEvents,
    StoredEvent,
    StoredSession,
)
from clickstream.domain.training_inputs import SearchSession, SessionEvent, ShownResult

Outcome = clickstream_service_pb2.EventOutcome
PushAnswer = TypeVar("PushAnswer", clickstream_service_pb2.PushEventsResponse, clickstream_service_pb2.IngestedEvents)


def stored_session_message(session: StoredSession, events: SessionEvents = NO_EVENTS) -> session_pb2.StoredSession:
    """A session with its listed events, for the contract."""
    return session_pb2.StoredSession.FromString(stored_session_bytes(session, events))


def stored_session_bytes(session: StoredSession, events: SessionEvents = NO_EVENTS) -> bytes:
    """The encoding of a `StoredSession`, put together from the stored payloads.

    Parsing and serializing the payloads again would cost more than the rest of a batch read. Two rules of
    https://protobuf.dev/programming-guides/encoding allow this: a message within a message is its own encoding
    behind a tag and a length, and encodings of parts of a message, one after the other, encode the whole.
    """
    rest = session_pb2.StoredSession(
        batch_id=batch_id_of(session.batch),
        session_number=session.number,
        irrelevant=session.irrelevant_at is not None,
        irrelevant_at=timestamp(session.irrelevant_at),
        omitted_events=events.omitted,
    )
    if session.erased:
        rest.erased = True
        return rest.SerializeToString()
    parts = [tag_and_length(_SESSION, len(session.payload)), session.payload, rest.SerializeToString()]
    for event in events.events:
        parts += (tag_and_length(_EVENTS, len(event.payload)), event.payload)
    return b"".join(parts)


def create_response(appended: Appended, created_at: Timestamp) -> clickstream_service_pb2.CreateSessionResponse:
    """The answer to CreateSession: where the session was put. `created_at` is its time if this call created it."""
    session = appended.session
    if session.erased:
        created_at = timestamp(session.created_at)
    elif not appended.created:
        created_at = session_pb2.Session.FromString(session.payload).created_at
    return clickstream_service_pb2.CreateSessionResponse(
        batch_id=batch_id_of(session.batch),
        session_number=session.number,
        created_at=created_at,
        created=appended.created,
    )


_SESSION = session_pb2.StoredSession.SESSION_FIELD_NUMBER
_EVENTS = session_pb2.StoredSession.EVENTS_FIELD_NUMBER


def search_session(session: StoredSession, events: SessionEvents, *, irrelevant: bool, robot: bool) -> SearchSession:
    """A session as conversion reads it. Raises ValueError if its payload cannot be read."""
    try:
        search = session_pb2.Session.FromString(session.payload)
        messages = [session_pb2.Event.FromString(event.payload) for event in events.events]
        acts = [SessionEvent(each.event_id, each.object_id, each.type, utc(each.created_at)) for each in messages]
    except (DecodeError, OverflowError) as error:
        raise ValueError(f"the payload of session number {session.number} cannot be read") from error
    placed = bool(search.results) and search.results[0].HasField("position")  # then every result has one
    return SearchSession(
        session_id=session.session_id,
        batch_id=batch_id_of(session.batch),
        number=session.number,
        query=search.query,
        results=[
            # A Struct reads like a dict. Copying it would cost more than the whole conversion.
            ShownResult(
                object_id=result.object_id,
                position=result.position if placed else index,
                meta=cast(Mapping[str, Any], result.meta),
                is_text=result.kind == session_pb2.RESULT_KIND_UNSPECIFIED,
            )
            for index, result in enumerate(search.results)
        ],
        events=acts,
        irrelevant=irrelevant,
        robot=robot,
        payload_search=search.payload_search,
        late_events=events.late,
        over_limit_events=events.omitted,
        searched_at=session.created_at,
    )


@lru_cache(maxsize=limits.EVENTS_PER_CALL)
def all_accepted(count: int) -> bytes:
    """The encoded answer to a push of `count` events that were all stored. It is the usual one, so it is cached."""
    outcomes = [Outcome(code=Outcome.CODE_ACCEPTED)] * count
    return clickstream_service_pb2.PushEventsResponse(outcomes=outcomes, accepted_count=count).SerializeToString()


def push_answer(
    kind: type[PushAnswer],
    drafts: Sequence[EventDraft],
    holders: Sequence[StoredEvent | None],
    rejected: Mapping[int, FieldViolation],
) -> PushAnswer:
    """The answer to a push: the outcome of each event.

    Args:
        kind: The message to answer with.
        drafts: The good events of the push.
        holders: For each draft the stored event that already had its id; None if the draft was stored.
        rejected: The violation of each bad event, by its index in the push.
    """
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
