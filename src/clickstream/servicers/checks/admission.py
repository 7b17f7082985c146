"""Admission: a session or event that a client sent becomes a draft to store, or is refused with the fields at fault."""

from collections.abc import Sequence
from datetime import datetime
from itertools import repeat
from typing import NamedTuple

from embedding_studio.clickstream.v1 import clickstream_service_pb2, session_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from clickstream.contract.encoding import discard_unknown_fields, utc
from clickstream.contract.same_content import same_session
from clickstream.domain.errors import AlreadyExists, FieldViolation, InvalidArgument, Reason
from clickstream.domain.sessions import Appended, EventDraft, SessionDraft
from clickstream.servicers.checks import fields, quick

Push = clickstream_service_pb2.PushEventsRequest | clickstream_service_pb2.EventList


class Arrival(NamedTuple):
    """When a call arrived, and which `created_at` its messages may name.

    Attributes:
        now: The server's time.
        stamp: The same, for messages.
        window: The accepted times around now; None accepts any.
        span: The same window, for the quick checks.
    """

    now: datetime
    stamp: Timestamp
    window: fields.Window | None
    span: quick.Span


def arrival(now: datetime, window: fields.Window | None) -> Arrival:
    """An arrival at this time; without a window its messages may name any time."""
    stamp = Timestamp(seconds=int(now.timestamp()), nanos=now.microsecond * 1_000)
    return Arrival(now, stamp, window, quick.span(window, now))


def session(session: session_pb2.Session, at: Arrival) -> SessionDraft:
    """The draft of a session, whose unknown fields are discarded and whose `created_at` is filled in.

    Raises InvalidArgument with the violations.
    """
    discard_unknown_fields(session)
    server_time = _fill_time(session, at)
    payload = session.SerializeToString()
    if not quick.session_passes(session, payload, at.span):
        if server_time:  # the limits count what the client sent
            session.ClearField("created_at")
        fields.check_session(session, at.window, at.now)
        if server_time:
            session.created_at.CopyFrom(at.stamp)
    return SessionDraft(
        session_id=session.session_id,
        created_at=at.now if server_time else utc(session.created_at),
        server_time=server_time,
        user_id=session.user_id,
        payload=payload,
    )


def require_same(draft: SessionDraft, appended: Appended) -> None:
    """Raises AlreadyExists if what is stored under the draft's id is another session."""
    if not appended.created and not same_session(draft, appended.session):
        raise AlreadyExists(Reason.CONTENT_CONFLICT, "session.session_id: taken by a session with other content")


def events(push: Push, at: Arrival, path: str = "") -> tuple[list[EventDraft], dict[int, FieldViolation]]:
    """The drafts of the good events (at least one), and by index the first violation of each bad one.

    Unknown fields of the push are discarded.

    Args:
        push: The session id and the events.
        at: The arrival of the call.
        path: Goes before `session_id` and `events` in the fields that violations name.

    Raises:
        InvalidArgument: No event is good, or the session id or the number of events is wrong.
    """
    violations = fields.Violations()
    sent = list(push.events)  # each time that they are walked, protobuf makes new objects
    if not quick.push_passes(push.session_id, len(sent)):
        fields.check_id(push.session_id, f"{path}session_id", violations)
        fields.check_event_count(len(sent), f"{path}events", violations)
        fields.require(violations)
    discard_unknown_fields(push)  # one call for all events: a call for each would cost twice as much
    if len(sent) > 1 and (all_good := _good_events(sent, at)):
        return all_good, {}
    drafts: list[EventDraft] = []
    rejected: dict[int, FieldViolation] = {}
    for index, each in enumerate(sent):
        admitted = event(each, f"{path}events[{index}]", at)
        if isinstance(admitted, EventDraft):
            drafts.append(admitted)
        else:
            rejected[index] = admitted[0]
            for violation in admitted:
                violations.append(violation)
    if not drafts:
        raise InvalidArgument(violations)
    return drafts, rejected


def _good_events(sent: Sequence[session_pb2.Event], at: Arrival) -> list[EventDraft]:
    """The drafts of events that all pass the quick checks; an empty list if one of them does not."""
    if any(event.HasField("created_at") for event in sent):
        return []
    for event in sent:
        event.created_at.CopyFrom(at.stamp)
    payloads = [event.SerializeToString() for event in sent]
    event_ids, types = [event.event_id for event in sent], [event.type for event in sent]
    if quick.events_pass(sent, event_ids, types, payloads):
        return list(map(EventDraft, event_ids, types, repeat(at.now), repeat(True), payloads))
    for event in sent:
        event.ClearField("created_at")
    return []


def event(event: session_pb2.Event, field: str, at: Arrival) -> EventDraft | fields.Violations:
    """The draft of an event, or its violations. The event has no unknown fields; `field` is its path."""
    server_time = _fill_time(event, at)
    payload = event.SerializeToString()
    if not quick.event_passes(event, payload, at.span):
        if server_time:
            event.ClearField("created_at")
        if found := fields.check_event(event, field, at.window, at.now):
            return found
    created_at = at.now if server_time else utc(event.created_at)
    return EventDraft(event.event_id, event.type, created_at, server_time, payload)


def _fill_time(message: session_pb2.Session | session_pb2.Event, at: Arrival) -> bool:
    """Fills in the server's time if the client gave none, and returns whether it did."""
    if message.HasField("created_at"):
        return False
    message.created_at.CopyFrom(at.stamp)
    return True
