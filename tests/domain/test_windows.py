"""Windows and their parts, in zones whose clock changes."""

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickstream.domain.windows import Bucket, Window, is_whole_days

HOUR = timedelta(hours=1)


def window(start: str, end: str, zone: str = "UTC") -> Window:
    """A window of whole quarters of an hour, given in its zone."""
    bounds = (datetime.fromisoformat(each).replace(tzinfo=ZoneInfo(zone)) for each in (start, end))
    return Window.around(*bounds, ZoneInfo(zone))


def lengths(found: Window, bucket: Bucket) -> list[timedelta]:
    """The length of every part."""
    edges = found.edges(bucket)
    return [later - earlier for earlier, later in itertools.pairwise(edges)]


@pytest.mark.parametrize(
    ("zone", "start", "end", "hours"),
    [
        ("Europe/Berlin", "2026-10-24", "2026-10-27", [24, 25, 24]),
        ("Europe/Berlin", "2026-03-28", "2026-03-31", [24, 23, 24]),
        ("Australia/Lord_Howe", "2026-10-03", "2026-10-06", [24, 23.5, 24]),
        ("Asia/Kathmandu", "2026-10-03", "2026-10-05", [24, 24]),
        ("America/Santiago", "2026-09-05", "2026-09-08", [24, 23, 24]),  # its clock changes at midnight
    ],
)
def test_days_are_as_long_as_the_clock_makes_them(zone: str, start: str, end: str, hours: list[float]) -> None:
    """A day goes from midnight to midnight of its zone, whatever its length."""
    assert lengths(window(start, end, zone), Bucket.DAY) == [each * HOUR for each in hours]


def test_weeks_begin_on_monday_and_the_first_and_last_part_are_cut() -> None:
    """A week is from Monday to Sunday; what lies outside the window is left out."""
    found = window("2026-11-25T13:00", "2026-12-02T05:00", "Europe/Berlin")
    assert found.edges(Bucket.WEEK) == [found.start, datetime(2026, 11, 29, 23, tzinfo=UTC), found.end]
    assert found.edges(Bucket.WHOLE) == [found.start, found.end]


def test_hours_follow_each_other_through_a_change_of_clock() -> None:
    """The hour that comes twice in autumn has two parts, and hours begin where the zone's clock says."""
    assert lengths(window("2026-10-25T00:00", "2026-10-25T06:00", "Europe/Berlin"), Bucket.HOUR) == [HOUR] * 7
    edges = window("2026-11-01T00:00", "2026-11-01T02:00", "Asia/Kathmandu").edges(Bucket.HOUR)
    assert [edge.minute for edge in edges] == [15, 15, 15]


def test_a_window_is_widened_to_whole_quarters() -> None:
    """The first quarter begins before the window, and the last one ends behind it."""
    found = window("2026-11-01T10:14:59.999", "2026-11-01T11:00:00.001")
    assert found.start == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert found.end == datetime(2026, 11, 1, 11, 15, tzinfo=UTC)
    assert window("2026-11-01", "2026-11-02").edges(Bucket.WHOLE)[1] == datetime(2026, 11, 2, tzinfo=UTC)


def test_whole_days_are_those_of_utc() -> None:
    """Midnight in another zone is no whole day."""
    assert is_whole_days(window("2026-11-01", "2026-11-03").edges(Bucket.DAY))
    assert not is_whole_days(window("2026-11-01", "2026-11-03", "Europe/Berlin").edges(Bucket.DAY))


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)),
    st.timedeltas(timedelta(minutes=1), timedelta(days=60)),
    st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago"]),
    st.sampled_from(list(Bucket)),
)
def test_the_parts_make_the_window(start: datetime, length: timedelta, zone: str, bucket: Bucket) -> None:
    """Parts have no gap and no overlap, and the bound of their number holds."""
    begin = start.replace(tzinfo=UTC)
    found = Window.around(begin, begin + length, ZoneInfo(zone))
    edges = found.edges(bucket)
    assert edges == sorted(set(edges))
    assert (edges[0], edges[-1]) == (found.start, found.end)
    assert len(edges) - 1 <= found.count(bucket) <= len(edges) + 2
    assert found.first_day <= found.last_day
