"""Analytics: what a roll-up is about, the dimensions of figures, and the numbers that stand for users and times."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

RANGE_SESSIONS = 1_000
"""Session numbers of one roll-up row: 1 to 1,000, 1,001 to 2,000 and so on. Part of stored keys: never changed."""

EPOCH_DAY = date(1970, 1, 1)


class RangeKey(NamedTuple):
    """A fixed range of session numbers of one batch: `first` is 1, 1001, 2001 and so on."""

    batch: int
    first: int

    @classmethod
    def of(cls, batch: int, number: int) -> "RangeKey":
        """The range that a session number belongs to."""
        return cls(batch, (number - 1) // RANGE_SESSIONS * RANGE_SESSIONS + 1)

    @property
    def last(self) -> int:
        """The last session number of the range, whether or not there is such a session yet."""
        return self.first + RANGE_SESSIONS - 1


@dataclass(frozen=True, slots=True)
class Segments:
    """The declared paths that figures can be broken down by, dotted, without `context.` or `meta.` before them."""

    context: tuple[str, ...] = ()
    meta: tuple[str, ...] = ()


def user_key(user_id: str) -> int:
    """The number that stands for a user in roll-ups: 63 bits of a hash, never 0; 0 for "no user id".

    Among a million users, the chance that any two share a number is 5 in 100 million.
    """
    if not user_id:
        return 0
    return int.from_bytes(hashlib.blake2b(user_id.encode(), digest_size=8).digest(), "big") >> 1 or 1


def day_of(moment: datetime) -> int:
    """The UTC day of a moment, as the number of days since 1970-01-01."""
    return (moment.astimezone(UTC).date() - EPOCH_DAY).days


def day_name(day: int) -> str:
    """A UTC day as YYYY-MM-DD."""
    return (EPOCH_DAY + timedelta(days=day)).isoformat()
