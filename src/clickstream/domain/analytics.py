"""Analytics: what a roll-up is about, the dimensions of figures, and the numbers that stand for users and times."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple

from clickstream.domain import limits

RANGE_SESSIONS = 1_000
"""Session numbers of one roll-up row: 1 to 1,000, 1,001 to 2,000 and so on. Part of stored keys: never changed."""

CLICK_RANGES = ((1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 20), (21, 0))
"""The ranges of 1-based places in which clicks are counted: first and last place; 0: no end."""

CONTEXT, META = "context.", "meta."
"""What the dimensions of declared paths begin with: of searches, and of results."""

EVENT_TYPE = "event_type"
OF_RESULTS = ("object", "position")
OF_SEARCHES = ("query", EVENT_TYPE, "batch", "client", "sort", "filtered")

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


def parse_segments(text: str) -> Segments:
    """The paths that a setting declares: `context.locale,meta.brand`. Raises ValueError saying what is wrong."""
    names = [each.strip() for each in text.split(",") if each.strip()]
    if len(names) > limits.SEGMENTS:
        raise ValueError(f"CLICKSTREAM_SEGMENTS has {len(names)} paths; {limits.SEGMENTS} are allowed")
    for name in names:
        begin, _, path = name.partition(".")
        if f"{begin}." not in (CONTEXT, META) or len(path) > limits.ID_CHARACTERS or not all(path.split(".")):
            raise ValueError(f"CLICKSTREAM_SEGMENTS: {name!r} must be `context.` or `meta.` and a dotted path")
    if len(set(names)) < len(names):
        raise ValueError("CLICKSTREAM_SEGMENTS names a path twice")
    context, meta = (tuple(each[len(kind) :] for each in names if each.startswith(kind)) for kind in (CONTEXT, META))
    return Segments(context, meta)


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


def is_of_results(dimension: str) -> bool:
    """Whether a dimension is one of results, and not of searches."""
    return dimension in OF_RESULTS or dimension.startswith(META)
