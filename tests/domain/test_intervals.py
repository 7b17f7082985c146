"""Intervals of rates, against published values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickstream.domain.intervals import newcombe, wilson


@pytest.mark.parametrize(
    ("counts", "interval"),
    # Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3.
    [
        ((81, 263), (0.2553, 0.3662)),
        ((15, 148), (0.0624, 0.1605)),
        ((0, 20), (0.0, 0.1611)),
        ((1, 29), (0.0061, 0.1718)),
    ],
)
def test_wilsons_interval_is_the_published_one(counts: tuple[int, int], interval: tuple[float, float]) -> None:
    """The score interval without a correction for continuity."""
    assert wilson(*counts) == pytest.approx(interval, abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "interval"),
    # Newcombe, Statistics in Medicine 17 (1998), 873-890, table II, method 10: examples a, b and c.
    [
        ((48, 80), (56, 70), (0.0524, 0.3339)),
        ((3, 10), (9, 10), (0.1705, 0.8090)),
        ((2, 7), (6, 7), (0.0582, 0.8062)),
    ],
)
def test_newcombes_interval_is_the_published_one(
    first: tuple[int, int], second: tuple[int, int], interval: tuple[float, float]
) -> None:
    """The hybrid score interval of a difference."""
    assert newcombe(first, second) == pytest.approx(interval, abs=5e-5)


@given(st.integers(1, 10**9), st.data())
def test_an_interval_contains_its_rate_and_stays_within_0_and_1(denominator: int, data: st.DataObject) -> None:
    """Also at 0, at 1, and for huge counts."""
    numerator = data.draw(st.integers(0, denominator))
    lower, upper = wilson(numerator, denominator)
    assert 0 <= lower <= numerator / denominator <= upper <= 1
