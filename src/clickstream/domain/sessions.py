"""Sessions and events as they are written and stored. A payload is the contract's message, encoded."""

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
    """A stored session: its draft and its place (batch, and number from 1), which never changes.

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
    """The outcome of a session draft: the stored session, and whether the draft created it or found its id taken."""

    session: StoredSession
    created: bool


class EventDraft(NamedTuple):
    """A checked event, ready to be stored; `payload` is the contract's `Event`, encoded like that of `SessionDraft`."""

    event_id: str
    type: str
    created_at: datetime
    server_time: bool
    payload: bytes


class StoredEvent(NamedTuple):
    """A stored event; `number` is its session's number in the batch."""

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
    """The events of one session in order of their ids.

    `omitted` counts the events beyond the listing limits, and `late` those that arrived after the session's batch
    was first read for training.
    """

    events: Sequence[StoredEvent] = ()
    omitted: int = 0
    late: int = 0


NO_EVENTS = SessionEvents()


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Sessions of a batch in order of their numbers; `complete` if the batch has no further session by now."""

    sessions: Sequence[StoredSession]
    complete: bool


@dataclass(frozen=True, slots=True)
class EventPage:
    """The events of the sessions up to number `last`, by session number; sessions without events are absent."""

    of: Mapping[int, SessionEvents]
    last: int
