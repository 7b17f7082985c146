"""Admission: what a client sent becomes a draft, with what it left out filled in, or is refused by field."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from embedding_studio.clickstream.v1 import session_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from clickstream.contract.encoding import utc
from clickstream.contract.sessions import same_session
from clickstream.domain.errors import AlreadyExists, FieldViolation, InvalidArgument, Reason
from clickstream.domain.sessions import Appended, EventDraft, SessionDraft
from clickstream.servicers.checks import fields, quick


class Arrival(NamedTuple):
    """When a call arrived, and which times it may name."""

    now: datetime
    stamp: Timestamp
    window: fields.Window | None
    span: quick.Span


def arrival(now: datetime, window: fields.Window | None) -> Arrival:
    """An arrival at this time; no window lets any time pass."""
    stamp = Timestamp(seconds=int(now.timestamp()), nanos=now.microsecond * 1_000)
    return Arrival(now, stamp, window, quick.span(window, now))


def session(session: session_pb2.Session, at: Arrival) -> SessionDraft:
    """The draft of a session. Raises InvalidArgument with every violation."""
    server_time = _fill_time(session, at)
    object_ids, absent = [], []
    for position, result in enumerate(session.results):
        object_ids.append(result.object_id)
        if not result.HasField("position"):
            result.position = position
            absent.append(result)
    payload = session.SerializeToString()
    positions_pass = len(absent) == len(object_ids) or (not absent and quick.positions_pass(session.results))
    if not (positions_pass and quick.session_passes(session, object_ids, payload, at.span)):
        # Limits are for what the client sent: what was filled in is taken back.
        for result in absent:
            result.ClearField("position")
        if server_time:
            session.ClearField("created_at")
        fields.check_session(session, at.window, at.now)
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


def events(
    session_id: str, sent: Sequence[session_pb2.Event], at: Arrival, path: str = ""
) -> tuple[list[EventDraft], dict[int, FieldViolation]]:
    """The drafts of the good events, of which there is one, and by index what is wrong with the bad ones.

    `path` is where `session_id` and `events` lie in the request. Raises InvalidArgument.
    """
    violations = fields.Violations()
    fields.check_id(session_id, f"{path}session_id", violations)
    fields.check_event_count(len(sent), f"{path}events", violations)
    fields.require(violations)
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
    """The drafts of ordinary events, or none if one of them needs a closer look."""
    sent = list(sent)  # each time that they are walked, protobuf makes new objects
    if any(event.HasField("created_at") for event in sent):
        return []
    for event in sent:
        event.created_at.CopyFrom(at.stamp)
    payloads = [event.SerializeToString() for event in sent]
    if quick.events_pass(sent, payloads):
        return [
            EventDraft(event.event_id, event.type, at.now, True, payload)
            for event, payload in zip(sent, payloads, strict=True)
        ]
    for event in sent:
        event.ClearField("created_at")
    return []


def event(event: session_pb2.Event, field: str, at: Arrival) -> EventDraft | fields.Violations:
    """The draft of an event, or what is wrong with it; `field` is its path."""
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
    """Fills in the server's time; whether the client gave none."""
    if message.HasField("created_at"):
        return False
    message.created_at.CopyFrom(at.stamp)
    return True
