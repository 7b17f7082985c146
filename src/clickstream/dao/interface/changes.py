"""Changes in the store that bring work."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol


class ChangeDao(Protocol):
    """What brings work: new or ended runs, runs and sessions that are given back, queued sessions; and time."""

    def follow(self, told: Callable[[], None], is_stopped: Callable[[], bool]) -> bool:
        """Calls `told` when it begins, and after changes from then on, until `is_stopped`, which it asks each second.

        Returns:
            False, at once, if this store cannot tell of changes.
        """
        ...

    def next_end(self, after: datetime) -> datetime | None:
        """The first moment after this one at which the lease of a run or a task ends, or a run's wait."""
        ...
