"""The list of robot verdicts in the store."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from clickstream.domain.robots import RobotVerdict


@dataclass(frozen=True, slots=True)
class VerdictFilter:
    """Which entries of the list are wanted: about one user, or one UTC day (counted from 1970-01-01), or both."""

    user_id: str = ""
    day: int | None = None


class RobotDao(Protocol):
    """Robot verdicts by number, from 1 without a gap, and which days the policy has judged."""

    def newest(self) -> int:
        """The number of the newest entry; 0 if there is none."""
        ...

    def append(self, verdicts: Sequence[RobotVerdict], newest: int) -> bool:
        """Adds the policy's verdicts, in their order, behind the entry with the number `newest`.

        Returns:
            False if other entries came first: then some may be stored, and the days must be judged again.
        """
        ...

    def order(self, verdict: RobotVerdict) -> tuple[RobotVerdict, bool]:
        """Adds a person's entry once per request id; returns the entry, and whether this call made it.

        Raises:
            AlreadyExists: The request id is taken by other content.
        """
        ...

    def last_undo(self, number: int) -> RobotVerdict | None:
        """The newest entry up to this number that undoes all before it; None if there is none."""
        ...

    def of_days(self, days: tuple[int, int], number: int) -> list[RobotVerdict]:
        """The verdicts in force about these UTC days, both included, as of a number of the list."""
        ...

    def of_users(self, user_ids: Set[str], number: int) -> list[RobotVerdict]:
        """The verdicts in force about these users, as of a number of the list."""
        ...

    def judged(self, day: int) -> str:
        """What `set_judged` stored for this UTC day; "" if nothing."""
        ...

    def set_judged(self, day: int, stamp: str) -> None:
        """Remembers by what a UTC day was judged: its data and the policy."""
        ...

    def list(self, wanted: VerdictFilter, before: int | None, limit: int) -> list[RobotVerdict]:
        """Up to `limit` entries with numbers below `before`, the newest first."""
        ...
