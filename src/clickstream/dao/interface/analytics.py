"""Roll-ups in the store: rows that are made from raw documents, replaced as a whole, and can be made again."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from clickstream.domain.analytics import RangeKey


class RawEvent(NamedTuple):
    """An event as analytics reads it: `created_at` in UTC to the millisecond, `payload` the contract's `Event`."""

    number: int
    event_id: str
    type: str
    created_at: datetime
    payload: bytes


@dataclass(frozen=True, slots=True)
class RangeHead:
    """The head of a range's row: everything but its frames.

    `version` rises with every making. `days` are the UTC days of its sessions. `rules` is a digest of the rules by
    which it was made: of other rules it is made again. `totals` is plain data for the progress of batches.
    """

    key: RangeKey
    version: int
    days: tuple[int, ...]
    rules: str
    session_count: int
    totals: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DayHead:
    """The head of a UTC day's row, which is made from the rows of ranges.

    `digest` names everything that it was made from: the versions of the ranges, and the robot verdicts about the day.
    A row whose digest is no longer the present one is not used.
    """

    day: int
    version: int
    digest: str
    totals: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RollUpState:
    """How far roll-ups are: one document.

    `resume_token` is where the stream of changes goes on; None before the first making, or where it is lost.
    Everything acknowledged before `exact_until` is in the rows; None before the first making is complete.
    """

    resume_token: Any = None
    exact_until: datetime | None = None
    rules: str = ""


class AnalyticsDao(Protocol):
    """Roll-up rows, the state of their making, and the raw documents that they are made from."""

    # Rows

    def range_heads(self, first_day: int, last_day: int) -> list[RangeHead]:
        """The heads of the ranges with a session on one of these UTC days, by key."""
        ...

    def batch_range_heads(self, batch: int) -> list[RangeHead]:
        """The heads of a batch's ranges, by key."""
        ...

    def range_head(self, key: RangeKey) -> RangeHead | None:
        """The head of one range; None if its row was never made."""
        ...

    def replace_range(self, expected_version: int, head: RangeHead, frames: Mapping[str, bytes]) -> bool:
        """Replaces a range's row as a whole, if its version is the expected one; otherwise returns False.

        Args:
            expected_version: The version that the row had before its raw documents were read; 0: there was none.
            head: The new head; its version must be `expected_version + 1`.
            frames: The frames by name. Frames of any size are accepted.
        """
        ...

    def range_frames(self, heads: Sequence[RangeHead], name: str) -> Iterator[tuple[RangeHead, bytes]]:
        """One frame of many ranges, in any order. A row that was replaced meanwhile answers its new head and frame."""
        ...

    def day_heads(self, first_day: int, last_day: int) -> list[DayHead]:
        """The heads of these UTC days' rows, by day; days without a row are absent."""
        ...

    def replace_day(self, expected_version: int, head: DayHead, frames: Mapping[str, bytes]) -> bool:
        """As `replace_range`, for a UTC day."""
        ...

    def day_frames(self, heads: Sequence[DayHead], name: str) -> Iterator[tuple[DayHead, bytes]]:
        """As `range_frames`, for UTC days."""
        ...

    # Making

    def state(self) -> RollUpState:
        """How far the making is."""
        ...

    def set_state(self, state: RollUpState, owner: str) -> bool:
        """Stores how far the making is, if `owner` has the lease; otherwise returns False."""
        ...

    def take_lease(self, owner: str, now: datetime, until: datetime) -> bool:
        """Takes or renews the lease of making; False if another owner has it beyond `now`."""
        ...

    def follow_writes(
        self,
        resume_token: Any,
        on_changes: Callable[[Collection[RangeKey], Any, datetime | None], None],
        is_stopped: Callable[[], bool],
    ) -> bool:
        """Reports the ranges in which a session or event was written or a mark changed, until `is_stopped`.

        Args:
            resume_token: Where to go on; None: from now on.
            on_changes: Called with changed ranges (also none), the token behind them and, if there was nothing more to
                read, a moment before which every acknowledged write was reported.
            is_stopped: Asked about once a second.

        Returns:
            True after it was stopped. False if the token is lost or this store reports no changes.
        """
        ...

    def all_ranges(self) -> Iterator[RangeKey]:
        """Every range that has a session, by key, from the sessions themselves."""
        ...

    def events(self, key: RangeKey) -> Iterator[RawEvent]:
        """Every event of the range's sessions, without any limit, by session number, then event id."""
        ...
