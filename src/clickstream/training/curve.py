"""A run's curve as JSON lines, which outlive the process."""

import json
import math
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clickstream.domain.runs import CURVE_POINTS, CurvePoint

CURVE_FILE = "training_curve.jsonl"


class Curve:
    """Keeps what a run logs, in the file and for the next report.

    Until `begin`, when it is known from which step the run goes on, nothing is written or handed out.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before: list[CurvePoint] = []
        self._new: list[CurvePoint] = []
        self._losses: list[float] = []
        self._step_count = 0  # 0: not begun

    def begin(self, first_step: int, step_count: int) -> None:
        """Goes on behind this many steps: what an earlier attempt logged beyond them is dropped, and logged again."""
        self._step_count = step_count
        earlier = [point for point in read_curve(self._path) if point.step <= first_step]
        self._new = _joined([*earlier, *self._before])
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(f".{os.getpid()}.tmp")
        beside.write_text("".join(map(_line, self._new)), "utf-8")
        beside.replace(self._path)

    def log(self, step: int, loss: float, learning_rate: float) -> None:
        """Takes up a step; of a run with more than `CURVE_POINTS` steps only every second, third and so on is kept."""
        self._losses.append(loss)
        if step % math.ceil(self._step_count / CURVE_POINTS) == 0 or step == self._step_count:
            mean = math.fsum(self._losses) / len(self._losses)
            self._losses.clear()
            self._add(CurvePoint(step, datetime.now(UTC), mean, learning_rate))

    def measured(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes up metrics by their names."""
        self._add(CurvePoint(step, datetime.now(UTC), metrics=dict(metrics)))

    def take(self) -> tuple[CurvePoint, ...]:
        """What was added since the last call, by step."""
        taken, self._new = tuple(_joined(self._new)), []
        return taken

    def _add(self, point: CurvePoint) -> None:
        if not self._step_count:
            self._before.append(point)
            return
        self._new.append(point)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(point))


def read_curve(path: Path) -> list[CurvePoint]:
    """The curve in a file, by step; empty without a file. A line that a crash cut short is left out."""
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return _joined(point for line in lines if (point := _point(line)) is not None)


def _joined(points: Iterable[CurvePoint]) -> list[CurvePoint]:
    by_step: dict[int, CurvePoint] = {}
    for point in points:
        before = by_step.get(point.step)
        by_step[point.step] = before.merged(point) if before else point
    return [by_step[step] for step in sorted(by_step)]


def _line(point: CurvePoint) -> str:
    values: dict[str, Any] = {"step": point.step, "logged_at": point.logged_at.isoformat()}
    if point.loss is not None:
        values |= {"loss": point.loss, "learning_rate": point.learning_rate}
    if point.metrics:
        values["metrics"] = point.metrics
    return json.dumps(values) + "\n"


def _point(line: str) -> CurvePoint | None:
    try:
        values = json.loads(line)
        return CurvePoint(**{**values, "logged_at": datetime.fromisoformat(values["logged_at"])})
    except (ValueError, KeyError, TypeError):
        return None
