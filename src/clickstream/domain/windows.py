"""Windows of time and their parts: hours, days and weeks of a time zone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from clickstream.domain.analytics import day_of

QUARTER = timedelta(minutes=15)
DEFAULT_LENGTH = timedelta(days=8)
DAY = timedelta(days=1)


class Bucket(StrEnum):
    """The length of a part of a window."""

    WHOLE = "whole"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


@dataclass(frozen=True, slots=True)
class Window:
    """A time from `start` on and before `end`, both in UTC and at a quarter of an hour."""

    start: datetime
    end: datetime
    zone: ZoneInfo

    @classmethod
    def around(cls, start: datetime, end: datetime, zone: ZoneInfo) -> "Window":
        """The smallest window of whole quarters of an hour that has this time in it."""
        return cls(_floor(start.astimezone(UTC)), _ceiling(end.astimezone(UTC)), zone)

    @property
    def first_day(self) -> int:
        """The UTC day of the first moment."""
        return day_of(self.start)

    @property
    def last_day(self) -> int:
        """The UTC day of the last moment."""
        return day_of(self.end - QUARTER)

    def edges(self, bucket: Bucket) -> list[datetime]:
        """The moments in UTC at which the parts begin, and last the end; the first and last part may be cut."""
        if bucket is Bucket.WHOLE:
            return [self.start, self.end]
        return [*(max(begin, self.start) for begin in self._begins(bucket)), self.end]

    def count(self, bucket: Bucket) -> int:
        """An upper bound of the number of parts, without going through them."""
        if bucket is Bucket.WHOLE:
            return 1
        length = {Bucket.HOUR: timedelta(hours=1), Bucket.DAY: DAY, Bucket.WEEK: 7 * DAY}[bucket]
        return (self.end - self.start) // length + 2

    def _begins(self, bucket: Bucket) -> Iterator[datetime]:
        local = self.start.astimezone(self.zone)
        if bucket is Bucket.HOUR:
            # Hours follow each other in UTC, also where the clock changes; zones may lie minutes off.
            begin = self.start - timedelta(minutes=local.minute)
            while begin < self.end:
                yield begin
                begin += timedelta(hours=1)
            return
        days_back = local.weekday() if bucket is Bucket.WEEK else 0
        date = local.date() - timedelta(days=days_back)
        while (begin := _midnight(date.year, date.month, date.day, self.zone)) < self.end:
            yield begin
            date += timedelta(days=7 if bucket is Bucket.WEEK else 1)


def is_whole_days(edges: list[datetime]) -> bool:
    """Whether all these moments begin a UTC day."""
    return all(edge == edge.replace(hour=0, minute=0, second=0, microsecond=0) for edge in edges)


def _midnight(year: int, month: int, day: int, zone: ZoneInfo) -> datetime:
    """The first moment of a day in a zone, in UTC: not 0:00 where the clock goes forward at midnight."""
    return datetime(year, month, day, tzinfo=zone).astimezone(UTC)


def _floor(moment: datetime) -> datetime:
    return moment - timedelta(minutes=moment.minute % 15, seconds=moment.second, microseconds=moment.microsecond)


def _ceiling(moment: datetime) -> datetime:
    floor = _floor(moment)
    return floor if floor == moment else floor + QUARTER
