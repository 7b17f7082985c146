"""Charts: the axis holds every value, absent values leave gaps, and equal pictures are drawn for equal data."""

import re

import pytest

from clickstream.report.charts import HEIGHT, TOP, WIDTH, Point, Series, bars, intervals, lines


def numbers(drawing: str, attribute: str) -> list[float]:
    """The values of an attribute."""
    return [float(each) for each in re.findall(rf'[ ]{attribute}="([-0-9.]+)"', drawing)]


@pytest.mark.parametrize("values", [[0], [1, 2, 3], [0.003, 0.001], [123_456_789, 5], [100]])
def test_bars_stay_inside_and_keep_their_order(values: list[float]) -> None:
    """The highest bar fits below the top, a bar of twice the value is twice as high, and 0 has no height."""
    drawing = bars("a", [str(each) for each in values], [Point(each) for each in values])
    heights = numbers(drawing, "height")[-len(values) :]
    highest = max(values)
    assert all(0 <= height <= HEIGHT - TOP for height in heights)
    if highest:
        assert max(heights) > (HEIGHT - TOP) * 0.3, "the axis is far too long"
        assert heights == pytest.approx([each / highest * max(heights) for each in values], abs=0.2)


def test_an_absent_value_leaves_a_gap() -> None:
    """A line stops where nothing was measured, and goes on behind it; absent is not 0."""
    points = [Point(1), Point(2), Point(None), Point(3)]
    drawing = lines("a", list("abcd"), [Series("one", points)])
    assert [len(each.split()) for each in re.findall(r'<polyline points="([^"]*)"', drawing)] == [2, 1]
    assert drawing.count("<circle") == 3
    assert bars("a", list("abcd"), points).count("<rect") == 3


def test_intervals_are_drawn_around_zero() -> None:
    """A gain's line crosses the line at 0 exactly if its interval does."""
    points = [Point(0.1, 0.05, 0.15), Point(0.01, -0.02, 0.04), Point(None)]
    drawing = intervals("a", ["clear", "noise", "none"], points)
    zero, clear, noise = re.findall(r'x1="([-0-9.]+)" y1="[^"]*" x2="([-0-9.]+)"', drawing)
    assert float(clear[0]) > float(zero[0])
    assert float(noise[0]) < float(zero[0]) < float(noise[1])
    assert all(0 <= each <= WIDTH for each in numbers(drawing, "x2"))


def test_a_legend_names_several_series() -> None:
    """One series needs no legend; several differ by more than their colour."""
    one = Series("one", [Point(1)])
    assert "<ul" not in lines("a", ["x"], [one])
    assert lines("a", ["x"], [one, Series("two <b>", [Point(2)])]).count("<li>") == 2
    assert "two &lt;b&gt;" in lines("a", ["x"], [one, Series("two <b>", [Point(2)])])
