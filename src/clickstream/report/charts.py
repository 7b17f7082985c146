"""Charts as inline SVG: bars, lines with intervals, and points with intervals.

Colours come from the page's style sheet (`.series-1` and so on) for light and dark; series also differ by dashes and
marks, so that nobody needs to see the colours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from clickstream.report.html import element, text

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 44
TICKS = 4
# Labels below the horizontal axis, at most.
LABELS = 8


@dataclass(frozen=True, slots=True)
class Point:
    """A value with its interval; None: absent."""

    value: float | None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """A named row of points, one per label."""

    name: str
    points: Sequence[Point]


def bars(title: str, labels: Sequence[str], points: Sequence[Point], unit: str = "") -> str:
    """Bars with the intervals of their values, if they have one."""
    axis = _Axis([points], unit)
    width = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    parts = [axis.drawn(), _labels(labels)]
    for index, point in enumerate(points):
        if point.value is None:
            continue
        x, top = LEFT + index * width, axis.y(point.value)
        name = element("title", text(f"{labels[index]}: {axis.shown(point.value)}"))
        parts.append(
            element(
                "rect",
                name,
                x=_n(x + width * 0.12),
                y=_n(top),
                width=_n(width * 0.76),
                height=_n(axis.y(0) - top),
                class_="bar series-1",
            )
        )
        parts.append(_interval(x + width / 2, point, axis))
    return _svg(title, HEIGHT, parts)


def lines(title: str, labels: Sequence[str], series: Sequence[Series], unit: str = "%") -> str:
    """Lines with their intervals as bands; a gap where a value is absent. A legend names them."""
    axis = _Axis([each.points for each in series], unit)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    xs = [LEFT + (index + 0.5) * step for index in range(len(labels))]
    parts = [axis.drawn(), _labels(labels)]
    for number, each in enumerate(series, 1):
        values = [point.value or 0 for point in each.points]
        for run in _runs(each.points):
            if len(run) > 1 and all(each.points[index].lower is not None for index in run):
                upper = [(xs[index], axis.y(each.points[index].upper or 0)) for index in run]
                lower = [(xs[index], axis.y(each.points[index].lower or 0)) for index in reversed(run)]
                parts.append(element("polygon", points=_points(upper + lower), class_=f"band series-{number}"))
            drawn = [(xs[index], axis.y(values[index])) for index in run]
            parts.append(element("polyline", points=_points(drawn), class_=f"line series-{number}"))
            parts += (
                element(
                    "circle",
                    element(
                        "title", text(f"{each.name}, {labels[index]}: {axis.shown(each.points[index].value or 0)}")
                    ),
                    cx=_n(x),
                    cy=_n(y),
                    r=3 + number % 2,
                    class_=f"mark series-{number}",
                )
                for index, (x, y) in zip(run, drawn, strict=True)
            )
    return _svg(title, HEIGHT, parts) + (_legend(series) if len(series) > 1 else "")


def intervals(title: str, labels: Sequence[str], points: Sequence[Point]) -> str:
    """One row per label: a point and its interval around a line at 0."""
    row, left = 28, 210
    ends = [end for each in points for end in (each.value, each.lower, each.upper) if end is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    span = (high - low) or 1.0
    height = TOP + row * len(labels) + BOTTOM

    def x(value: float) -> float:
        return left + (value - low) / span * (WIDTH - left - RIGHT - 20)

    parts = [_line(x(0), TOP, x(0), height - BOTTOM, "axis"), _text(x(0), height - BOTTOM + 18, "0", "middle")]
    for index, (label, point) in enumerate(zip(labels, points, strict=True)):
        y = TOP + row * (index + 0.5)
        parts.append(_text(left - 10, y + 4, label if len(label) < 28 else f"{label[:13]}…{label[-13:]}", "end"))
        if point.value is None:
            continue
        if point.lower is not None and point.upper is not None:
            parts.append(_line(x(point.lower), y, x(point.upper), y, "line series-1"))
        name = element("title", text(f"{label}: {point.value:+.4f}"))
        parts.append(element("circle", name, cx=_n(x(point.value)), cy=_n(y), r=5, class_="mark series-1"))
    return _svg(title, height, parts)


class _Axis:
    """The vertical axis, from 0 to a round number above all values."""

    def __init__(self, rows: Sequence[Sequence[Point]], unit: str) -> None:
        ends = [end for row in rows for each in row for end in (each.value, each.upper) if end is not None]
        self._unit = unit
        self._step = _round_step(max(ends, default=0.0) / TICKS)
        self._top = self._step * TICKS

    def y(self, value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / self._top)

    def shown(self, value: float) -> str:
        number = f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:,.3g}"
        return f"{number} {self._unit}".strip()

    def drawn(self) -> str:
        parts = []
        for tick in range(TICKS + 1):
            value = tick * self._step
            parts.append(_line(LEFT, self.y(value), WIDTH - RIGHT, self.y(value), "axis" if not tick else "grid"))
            parts.append(_text(LEFT - 8, self.y(value) + 4, self.shown(value), "end"))
        return "".join(parts)


def _round_step(least: float) -> float:
    """1, 2, 2.5 or 5 times a power of ten, not below `least`."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least * (1 - 1e-9))


def _runs(points: Sequence[Point]) -> list[list[int]]:
    """The indices of neighbouring points that have a value."""
    runs: list[list[int]] = []
    for index, point in enumerate(points):
        if point.value is None:
            continue
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs


def _labels(labels: Sequence[str]) -> str:
    width = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    every = max(1, math.ceil(len(labels) / LABELS))
    return "".join(
        _text(LEFT + (index + 0.5) * width, HEIGHT - BOTTOM + 18, label, "middle")
        for index, label in enumerate(labels)
        if index % every == 0
    )


def _interval(x: float, point: Point, axis: _Axis) -> str:
    if point.lower is None or point.upper is None:
        return ""
    return _line(x, axis.y(point.lower), x, axis.y(point.upper), "interval")


def _legend(series: Sequence[Series]) -> str:
    items = (
        element(
            "li",
            element(
                "svg",
                _line(0, 8, 36, 8, f"line series-{number}"),
                element("circle", cx=18, cy=8, r=3 + number % 2, class_=f"mark series-{number}"),
                viewBox="0 0 36 16",
                width=36,
                height=16,
                aria_hidden="true",
            ),
            text(each.name),
        )
        for number, each in enumerate(series, 1)
    )
    return element("ul", *items, class_="legend")


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    return element(
        "svg",
        element("title", text(title)),
        *parts,
        viewBox=f"0 0 {WIDTH} {_n(height)}",
        role="img",
        aria_label=title,
        class_="chart",
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return element("line", x1=_n(x1), y1=_n(y1), x2=_n(x2), y2=_n(y2), class_=kind)


def _text(x: float, y: float, value: str, anchor: str) -> str:
    return element("text", text(value), x=_n(x), y=_n(y), text_anchor=anchor)


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in places)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
