"""When there may be work for a worker."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol


class ChangeDao(Protocol):
    """Reports to a worker when there may be work: on a change in the store, and when the next lease ends.

    Changes that count: a run is queued, given back or ended; a session enters the queue or goes back into it.
    """

    def follow(self, on_change: Callable[[], None], is_stopped: Callable[[], bool]) -> bool:
        """Calls `on_change` once at the beginning and after each change, until `is_stopped` returns True.

        Args:
            on_change: Called in the thread of this method. Changes in quick succession may share one call.
            is_stopped: Asked about once a second.

        Returns:
            True after it was stopped. False, at once, if this store cannot report changes.

        Raises:
            Unavailable: the store does not answer, or the stream of changes is lost.
        """
        ...

    def next_due(self, after: datetime) -> datetime | None:
        """The first moment after `after` at which a lease, or a run's wait for its next attempt, ends; None if none."""
        ...
