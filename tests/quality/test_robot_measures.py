"""What the rules of a robot policy measure equals a plain count (R27)."""

import itertools
import statistics
from collections import Counter
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clickstream.quality.robot_measures import user_measures
from clickstream.quality.robot_policy import RULES

DAY = datetime(2026, 10, 23, tzinfo=UTC)
# (user, milliseconds since the day began, query, clicked all, declared agent)
Row = tuple[int, int, str, bool, bool]
edges = st.sampled_from((0, 500, 999, 1_000, 10_000, 10_001, 1_800_000, 3_600_000))
times = st.one_of(edges, st.integers(0, 86_399_999))
rows = st.lists(
    st.tuples(st.integers(0, 3), times, st.sampled_from(("", "a", "b")), st.booleans(), st.booleans()), max_size=40
)


def frame(searches: list[Row]) -> pl.DataFrame:
    """The searches as a frame of a day."""
    return pl.DataFrame(
        {
            "batch": [1] * len(searches),
            "number": range(1, len(searches) + 1),
            "at": [DAY + timedelta(milliseconds=each[1]) for each in searches],
            "user": [each[0] for each in searches],
            "query": [each[2] for each in searches],
            "clicked_all": [each[3] for each in searches],
            "declared_agent": [each[4] for each in searches],
        },
        schema_overrides={"at": pl.Datetime("ms", "UTC"), "user": pl.Int64, "query": pl.String, "number": pl.UInt32},
    )


def plain(searches: list[Row]) -> dict[str, float]:
    """The values of all rules for the searches of one user, counted one by one."""
    ordered = sorted(searches, key=lambda each: each[1])
    moments = [each[1] for each in ordered]
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    queries = Counter(each[2] for each in searches if each[2])
    longest = start = 0
    for index, moment in enumerate(moments):
        if index and moment - moments[index - 1] >= 1_800_000:
            start = index
        longest = max(longest, moment - moments[start])
    equal = len(gaps) > 2 and statistics.mean(gaps) > 0 and statistics.pstdev(gaps) < 0.05 * statistics.mean(gaps)
    return {
        "searches": len(searches),
        "burst": max(sum(moment - 10_000 <= each <= moment for each in moments) for moment in moments),
        "fast_changes": sum(
            later[2] != earlier[2] and later[1] - earlier[1] < 1_000 for earlier, later in itertools.pairwise(ordered)
        ),
        "continuous_hours": longest / 3_600_000,
        "same_query": max(queries.values(), default=0),
        "clicked_all": sum(each[3] for each in searches),
        "equal_intervals": len(searches) if equal else 0,
        "declared_agent": sum(each[4] for each in searches),
    }


@settings(max_examples=150, deadline=None)
@given(rows)
def test_r27_every_rule_measures_what_a_plain_count_does(searches: list[Row]) -> None:
    """R27: for every known user, each rule's value is the one counted search by search; unknown users have none."""
    found = user_measures(frame(searches))
    assert found["user"].to_list() == sorted({each[0] for each in searches} - {0})
    for row in found.iter_rows(named=True):
        of_user = [each for each in searches if each[0] == row["user"]]
        # Of equal times the order is that of the numbers.
        assert {name: row[name] for name in RULES} == pytest.approx(plain(of_user))
        assert 1 <= len(row["examples"]) <= 5
        assert all(searches[each["number"] - 1][0] == row["user"] for each in row["examples"])


def test_equal_intervals_are_found() -> None:
    """A search every minute is as regular as a machine, and one that varies by a few seconds is not."""
    exact = frame([(1, index * 60_000, "a", False, False) for index in range(30)])
    varied = frame([(1, index * 60_000 + index % 3 * 6_000, "a", False, False) for index in range(30)])
    assert user_measures(exact)["equal_intervals"].to_list() == [30]
    assert user_measures(varied)["equal_intervals"].to_list() == [0]
