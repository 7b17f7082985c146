"""What the store of sessions, events and batches offers, by concern; see `interface` for what holds of every method."""

from collections.abc import Sequence, Set
from datetime import datetime
from typing import Protocol

from clickstream.batches import Batch, BatchStatus
from clickstream.sessions import (
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
        """Appends drafts to the collecting batch, in their order; one outcome per draft.

        Not to be called by two threads at once: the order of the numbers is the order of the calls.
        """
        ...

    def get(self, session_id: str) -> StoredSession | None:
        """The session with this id."""
        ...

    def page(self, batch: int, after: int, limit: int, *, include_irrelevant: bool) -> SessionPage:
        """At most `limit` sessions of a batch with numbers above `after`, by number.

        The page ends before the session whose payload would take it beyond `limits.PAGE_BYTES`,
        but never before its first.
        """
        ...

    def mark_irrelevant(self, session_id: str, at: datetime) -> StoredSession | None:
        """Marks a session, keeping an earlier mark; None if it is unknown."""
        ...

    def restore(self, session_id: str) -> StoredSession | None:
        """Takes the mark back; None if the session is unknown."""
        ...


class EventDao(Protocol):
    """Events, kept under their session's batch and number."""

    def append(self, pushes: Sequence[EventPush]) -> list[list[StoredEvent | None] | Exception]:
        """Stores events; per push, either an error (unknown session) or per event what held its id already."""
        ...

    def of_sessions(self, batch: int, first: int, last: int) -> EventPage:
        """The events of the sessions numbered `first` to `last`, in one range read.

        Each session is within the listing limits. The reading ends before the session whose
        listed events would take it beyond `limits.PAGE_BYTES`, but never before the first with any.
        """
        ...

    def has_any(self, batch: int, number: int) -> bool:
        """Whether the session with this number has an event."""
        ...

    def frozen(
        self, batch: int, first: int, last: int, run_id: str = ""
    ) -> tuple[dict[int, SessionEvents], frozenset[int]]:
        """The same for training, fixed for ever by the first call for this range of a released batch.

        With a run id it is fixed for that run alone, and the batch may still collect. Also returns the
        numbers of the sessions that were marked irrelevant at that moment.
        """
        ...


class BatchDao(Protocol):
    """Batches. The one that collects always exists, even before its first session."""

    def collecting(self) -> Batch:
        """The batch that takes new sessions."""
        ...

    def get(self, sequence: int) -> Batch | None:
        """The batch with this sequence number, counted from 1."""
        ...

    def list(self, before: int | None, limit: int, statuses: Set[BatchStatus]) -> list[Batch]:
        """The newest batches, below sequence number `before`; no status means any."""
        ...

    def release(self, release_id: str, sequence: int | None, at: datetime) -> Batch:
        """Closes the collecting batch; the same release id again gives the same batch.

        Raises:
            NotFound: there is no batch with this sequence number.
            FailedPrecondition: the batch is empty, or was released under another id.
            AlreadyExists: the release id belongs to another batch.
        """
        ...

    def change_status(
        self, sequence: int, expected: Set[BatchStatus], to: BatchStatus, *, run_id: str, reason: str, at: datetime
    ) -> Batch | None:
        """Compare-and-set along the allowed arrows; None if the status is none of the expected.

        A change to `training` from `training` is allowed to the run that holds the batch, and
        changes nothing; a change away from `training` only to that run.
        """
        ...

    def archive(self, before: datetime, reason: str, at: datetime, *, leaving: Set[int]) -> Batch | None:
        """Archives the batch whose training ended or failed first, if that was before this time; None if none was.

        The batches in `leaving`, by sequence number, are not considered.
        """
        ...
