"""Roll-ups in the store: rows that are made from raw documents, replaced as a whole, and can be made again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from clickstream.domain.analytics import RangeKey


class RawEvent(NamedTuple):
    """An event as analytics reads it: its time in milliseconds since 1970, and as `payload` the contract's `Event`."""

    number: int
    type: str
    at_ms: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class RangeHead:
    """The head of a range's row: everything but its frames.

    `version` rises with every making, and `stamp` names the frames. `days` are the UTC days of its sessions. `rules` is
    a digest of the rules by which it was made; by other rules it is made again. `totals` are its counts.
    """

    key: RangeKey
    version: int
    days: tuple[int, ...]
    rules: str
    totals: Mapping[str, int] = field(default_factory=dict)
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class DayHead:
    """The head of the row of a UTC day, which is made from the rows of ranges.

    `digest` names everything that the row was made from. A row with another digest than the present one is not used.
    """

    day: int
    version: int
    digest: str
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class RollUpState:
    """How far roll-ups are.

    The stream of changes goes on at `resume_token`; None before the first making is complete. Every write that was
    acknowledged before `exact_until` is in the rows. `rules` is a digest of the rules of the last complete making.
    """

    resume_token: Any = None
    exact_until: datetime | None = None
    rules: str = ""


class Changes(NamedTuple):
    """What changed: the ranges, where the stream goes on, and a moment before which every write was reported."""

    ranges: frozenset[RangeKey]
    resume_token: Any
    exact_until: datetime


class AnalyticsDao(Protocol):
    """Roll-up rows, the state of their making, and the documents that they are made from."""

    def range_heads(self, days: tuple[int, int] | None = None) -> list[RangeHead]:
        """The heads of the ranges with a session from one UTC day to another, both included; None: of all; by key."""
        ...

    def range_head(self, key: RangeKey) -> RangeHead | None:
        """The head of one range; None if its row was never made."""
        ...

    def batch_heads(self, batch: int) -> list[RangeHead]:
        """The heads of all ranges of one batch, by key."""
        ...

    def replace_range(self, head: RangeHead, frames: Mapping[str, bytes]) -> bool:
        """Replaces the row of a range as a whole.

        Args:
            head: The new head. Its version is one above that of the row before the documents were read; 1: the first.
            frames: The frames by name, of any size.

        Returns:
            False, and nothing is changed, if the row has another version by now: make it again.
        """
        ...

    def range_frames(self, heads: Sequence[RangeHead], name: str) -> Iterator[tuple[RangeKey, bytes]]:
        """One frame of many ranges. Of a row that was replaced after the head was read, the new frame is read."""
        ...

    def day_heads(self, days: tuple[int, int] | None = None) -> list[DayHead]:
        """The heads of the rows of UTC days, both included, by day; days without a row are absent."""
        ...

    def replace_day(self, head: DayHead, frames: Mapping[str, bytes]) -> bool:
        """As `replace_range`, for a UTC day."""
        ...

    def day_frame(self, head: DayHead, name: str) -> bytes | None:
        """One frame of a day's row; None if the row was replaced after the head was read."""
        ...

    def state(self) -> RollUpState:
        """How far the making is."""
        ...

    def set_state(self, state: RollUpState, owner: str) -> bool:
        """Stores how far the making is; returns False, and stores nothing, if `owner` has no lease."""
        ...

    def take_lease(self, owner: str, now: datetime, until: datetime) -> bool:
        """Takes or renews the lease of making; returns False if another owner has it beyond `now`."""
        ...

    def free_since(self) -> datetime | None:
        """When the last lease ended or will end; None if there never was one."""
        ...

    def release_lease(self, owner: str, now: datetime) -> None:
        """Ends the owner's lease."""
        ...

    def follow_writes(
        self, resume_token: Any, on_changes: Callable[[Changes], bool], is_stopped: Callable[[], bool]
    ) -> bool:
        """Reports the ranges in which a session or event was written, until it is stopped.

        Args:
            resume_token: Where to go on; None: from now on.
            on_changes: Called about once a second, also without any change, in the thread of this method. If it returns
                False, the method ends.
            is_stopped: Asked about once a second.

        Returns:
            True after it was stopped. False if the place to go on at is lost: then everything is made again.

        Raises:
            Unavailable: The store does not answer, or it reports no changes.
        """
        ...

    def all_ranges(self) -> list[RangeKey]:
        """Every range that has a session, by key, from the sessions themselves."""
        ...

    def events(self, key: RangeKey) -> Iterator[RawEvent]:
        """Every event of a range's sessions, without any limit, by session number, then event id."""
        ...
