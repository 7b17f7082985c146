"""Sessions and events as they are written and kept. The payload is the contract's own message, as bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

CONTENT_VERSION = 1
"""The version of the contract's `Session` that this code stores: each field belongs to the version that brought it."""


@dataclass(frozen=True, slots=True)
class SessionDraft:
    """A checked session, ready to be appended.

    `payload` is the contract's `Session` without unknown fields, with `created_at` filled in, as this process
    encodes it; `server_time` says that the client sent no `created_at`. Times are in UTC.
    """

    session_id: str
    created_at: datetime
    server_time: bool
    user_id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as kept: its draft, and its place (batch and 1-based number) for ever.

    `version` is the content version of the code that stored it. An `erased` session keeps its place only: its
    `payload` is empty.
    """

    session_id: str
    batch: int
    number: int
    created_at: datetime
    server_time: bool
    user_id: str
    payload: bytes
    irrelevant_at: datetime | None = None
    version: int = CONTENT_VERSION
    erased: bool = False


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a session draft. Not created: the id was taken, by the session given."""

    session: StoredSession
    created: bool


class EventDraft(NamedTuple):
    """A checked event, ready to be appended; `payload` is the contract's `Event`, as that of `SessionDraft`."""

    event_id: str
    type: str
    created_at: datetime
    server_time: bool
    payload: bytes


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as kept, under its session's number."""

    number: int
    event_id: str
    server_time: bool
    payload: bytes


class EventPush(NamedTuple):
    """Events of one session that were sent together."""

    session_id: str
    events: Sequence[EventDraft]


@dataclass(frozen=True, slots=True)
class SessionEvents:
    """The events of one session by event id, and how many more were left out of the list.

    `late` counts those that came after the session's batch was first read for training.
    """

    events: Sequence[StoredEvent] = ()
    omitted: int = 0
    late: int = 0


NO_EVENTS = SessionEvents()


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Sessions of a batch by number; `complete` if nothing further is registered."""

    sessions: Sequence[StoredSession]
    complete: bool


@dataclass(frozen=True, slots=True)
class EventPage:
    """The events of a range of sessions, by session number; the range was read up to number `last`."""

    of: Mapping[int, SessionEvents]
    last: int
