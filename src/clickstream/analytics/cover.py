"""What a window is computed from: rows of days that are up to date, otherwise those of ranges, or the sessions."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import polars as pl

from clickstream.analytics import columns
from clickstream.analytics.day_frames import RangeParts, day_searches, day_values
from clickstream.analytics.frame_bytes import unpack
from clickstream.analytics.rollups import RollUps
from clickstream.dao.interface.analytics import AnalyticsDao, DayHead, RangeHead
from clickstream.domain import limits
from clickstream.domain.analytics import META, RangeKey, Segments
from clickstream.domain.errors import FieldViolation, InvalidArgument, Reason
from clickstream.domain.windows import Window

# The columns of `searches` from which a day's flags are made.
FLAGGED = ("batch", "number", "at", "user", "irrelevant", "query", "events.*", "unshown.*")


class Cover:
    """The frames of a window, UTC day by UTC day.

    Args:
        analytics: The store's roll-ups.
        roll_ups: Reads and makes frames.
        window: The time to look at.
        undeclared: Paths that the roll-ups do not have: then the frames are made from the sessions.

    Raises:
        InvalidArgument: The sessions have too many events for paths that are not declared.
    """

    def __init__(self, analytics: AnalyticsDao, roll_ups: RollUps, window: Window, undeclared: Segments) -> None:
        self._analytics = analytics
        self._roll_ups = roll_ups
        self.window = window
        days = window.first_day, window.last_day
        heads = roll_ups.range_heads(days)
        self._heads: dict[int, list[RangeHead]] = {day: [] for day in range(days[0], days[1] + 1)}
        for head in heads:
            for day in head.days:
                if day in self._heads:
                    self._heads[day].append(head)
        self._days = {head.day: head for head in analytics.day_heads(days)}
        self._robots = roll_ups.robots(days)
        self.robot_verdict_number = self._robots.number
        self.from_sessions = bool(undeclared.context or undeclared.meta)
        self._made = self._from_sessions(heads, undeclared) if self.from_sessions else {}

    def _from_sessions(self, heads: Sequence[RangeHead], undeclared: Segments) -> dict[RangeKey, RangeParts]:
        events = sum(head.totals.get("events", 0) for head in heads)
        if events > limits.FIGURE_RAW_EVENTS:
            description = f"has sessions with {events:,} events; {limits.FIGURE_RAW_EVENTS:,} are allowed"
            why = "because CLICKSTREAM_SEGMENTS does not declare the path, the sessions themselves are read"
            raise InvalidArgument([FieldViolation("window", f"{description}: {why}", Reason.LIMIT_EXCEEDED)])
        rules = replace(self._roll_ups.rules, segments=undeclared)
        made = ((head.key, self._roll_ups.frames_now(head.key, rules)) for head in heads)
        return {key: RangeParts(frames.searches, frames.showings) for key, frames in made}

    @property
    def days(self) -> list[int]:
        """The UTC days of the window that have a search."""
        return [day for day, heads in self._heads.items() if heads]

    def showing_count(self) -> int:
        """An upper bound of the shown results in the window."""
        heads = {head.key: head for of_day in self._heads.values() for head in of_day}
        return sum(head.totals.get("showings", 0) for head in heads.values())

    def searches(self, day: int, wanted: Sequence[str]) -> pl.DataFrame:
        """The searches of a UTC day that lie in the window, with these columns and `at` and the flags."""
        frame = self._stored(day, columns.SEARCHES, ("at", "typing", "refined", "robot", *wanted))
        if frame is None:
            frame = day_searches(day, self._range_searches(day, {*FLAGGED, *wanted}), self._robots.of(day))
        return self._in_window(frame)

    def values(self, day: int, name: str) -> pl.DataFrame:
        """The showings of a UTC day by value, in the window: the frame `places`, `objects` or `meta.PATH`."""
        frame = self._stored(day, name, None)
        if frame is None:
            searches = day_searches(day, self._range_searches(day, {*FLAGGED, "clickable"}), self._robots.of(day))
            meta = [name.removeprefix(META)] if name.startswith(META) else []
            frame = day_values(searches, self.parts(day), meta)[name]
        return self._in_window(frame)

    def parts(self, day: int) -> Iterator[RangeParts]:
        """The frames of the ranges with a session on that day, one after the other."""
        if self.from_sessions:
            yield from (self._made[head.key] for head in self._heads[day])
        else:
            yield from self._roll_ups.range_parts(self._heads[day])

    def _range_searches(self, day: int, wanted: set[str]) -> Iterator[pl.DataFrame]:
        if self.from_sessions:
            return (self._made[head.key].searches for head in self._heads[day])
        return self._roll_ups.range_searches(self._heads[day], sorted(wanted))

    def _stored(self, day: int, name: str, wanted: Sequence[str] | None) -> pl.DataFrame | None:
        """A frame of the day's row; None if the row is not up to date."""
        head: DayHead | None = self._days.get(day)
        if self.from_sessions or head is None or head.digest != self._digest(day):
            return None
        data = self._analytics.day_frame(head, name)
        return None if data is None else unpack(data, wanted)

    def _digest(self, day: int) -> str:
        return self._roll_ups.day_digest(self._heads[day], self._robots.of(day))

    def _in_window(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.filter(pl.col("at").is_between(self.window.start, self.window.end, closed="left"))
