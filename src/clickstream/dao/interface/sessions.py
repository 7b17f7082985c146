"""Sessions and events in the store."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from clickstream.domain.sessions import (
    Appended,
    EventPage,
    EventPush,
    SessionDraft,
    SessionEvents,
    SessionPage,
    StoredEvent,
    StoredSession,
)


class SessionDao(Protocol):
    """Sessions, in dense commit order within their batch."""

    def append(self, drafts: Sequence[SessionDraft]) -> list[Appended | Exception]:
        """Appends drafts to the collecting batch, in their order; returns one outcome per draft.

        Must not be called by two threads at once: the numbers are given in the order of the calls.
        """
        ...

    def get(self, session_id: str) -> StoredSession | None:
        """The session with this id; None if there is none."""
        ...

    def page(self, batch: int, after: int, limit: int, *, include_irrelevant: bool) -> SessionPage:
        """At most `limit` sessions of a batch with numbers above `after`, by number, erased ones included.

        The page ends before the session whose payload would take it beyond `limits.PAGE_BYTES`,
        but never before its first.
        """
        ...

    def mark_irrelevant(self, session_id: str, at: datetime) -> StoredSession | None:
        """Marks a session, keeping an earlier mark; None if it is unknown."""
        ...

    def restore(self, session_id: str) -> StoredSession | None:
        """Removes the mark; None if the session is unknown."""
        ...


class EventDao(Protocol):
    """Events, kept under their session's batch and number."""

    def append(self, pushes: Sequence[EventPush]) -> list[list[StoredEvent | None] | Exception]:
        """Stores events.

        Returns:
            One result per push: an exception if the session is unknown; otherwise, per event, the stored event
            that already had its id, or None if it is new.
        """
        ...

    def of_sessions(self, batch: int, first: int, last: int, limit: int | None = None) -> EventPage:
        """The events of the sessions numbered `first` to `last`, in one range read.

        Each session lists its first events by id, at most `limit` and within the listing limits; the others are
        counted. 0 only counts. The reading ends before the session whose listed events would take it beyond
        `limits.PAGE_BYTES`, but never before the first with any.
        """
        ...

    def has_any(self, batch: int, number: int) -> bool:
        """Whether the session with this number has an event."""
        ...

    def frozen(
        self, batch: int, first: int, last: int, run_id: str = ""
    ) -> tuple[dict[int, SessionEvents], frozenset[int]]:
        """The events that count for training, fixed for ever by the first call for this range of a released batch.

        With a run id they are fixed for that run alone, and the batch may still collect.

        Returns:
            The events by session number, and the numbers of the sessions that were marked irrelevant at the time
            of the first call.
        """
        ...
