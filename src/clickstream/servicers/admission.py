"""Admission: what a client sent becomes a draft, with what it left out filled in, or is refused by field."""

from datetime import datetime
from typing import NamedTuple

from embedding_studio.clickstream.v1 import session_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from clickstream.servicers import quick, validation, wire
from clickstream.sessions import EventDraft, SessionDraft


class Arrival(NamedTuple):
    """When a call arrived, and which times it may name."""

    now: datetime
    stamp: Timestamp
    window: validation.Window | None
    span: quick.Span


def arrival(now: datetime, window: validation.Window | None) -> Arrival:
    """An arrival at this time; no window lets any time pass."""
    stamp = Timestamp(seconds=int(now.timestamp()), nanos=now.microsecond * 1_000)
    return Arrival(now, stamp, window, quick.span(window, now))


def session(session: session_pb2.Session, at: Arrival) -> SessionDraft:
    """The draft of a session. Raises InvalidArgument with every violation."""
    server_time = _fill_time(session, at)
    placed = [result.HasField("position") for result in session.results]
    positions_given = True in placed
    if not positions_given:
        for position, result in enumerate(session.results):
            result.position = position
    payload = session.SerializeToString()
    if not (quick.session_passes(session, payload, at.span) and (not positions_given or _rise(session, placed))):
        validation.check_session(_as_sent(session, server_time, positions_given), at.window, at.now)
    return SessionDraft(
        session_id=session.session_id,
        created_at=at.now if server_time else wire.utc(session.created_at),
        server_time=server_time,
        user_id=session.user_id,
        payload=payload,
    )


def event(event: session_pb2.Event, field: str, at: Arrival) -> EventDraft | validation.Violations:
    """The draft of an event, or what is wrong with it; `field` is its path."""
    server_time = _fill_time(event, at)
    payload = event.SerializeToString()
    if not quick.event_passes(event, payload, at.span):
        if server_time:
            event.ClearField("created_at")
        if found := validation.check_event(event, field, at.window, at.now):
            return found
    created_at = at.now if server_time else wire.utc(event.created_at)
    return EventDraft(event.event_id, event.type, created_at, server_time, payload)


def _fill_time(message: session_pb2.Session | session_pb2.Event, at: Arrival) -> bool:
    """Fills in the server's time; whether the client gave none."""
    if message.HasField("created_at"):
        return False
    message.created_at.CopyFrom(at.stamp)
    return True


def _rise(session: session_pb2.Session, placed: list[bool]) -> bool:
    return False not in placed and quick.positions_pass([result.position for result in session.results])


def _as_sent(session: session_pb2.Session, server_time: bool, positions_given: bool) -> session_pb2.Session:
    """Takes back what was filled in: limits are for what the client sent."""
    if server_time:
        session.ClearField("created_at")
    if not positions_given:
        for result in session.results:
            result.ClearField("position")
    return session
