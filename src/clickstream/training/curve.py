"""A run's training curve in a file of JSON lines, which outlives the process."""

import json
import math
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clickstream.domain.runs import CURVE_POINTS, CurvePoint

# In the run's folder while it trains, and in the model's folder afterwards.
CURVE_FILE = "training_curve.jsonl"


class Curve:
    """Records a run's losses and metrics, in the file and for the next report.

    Nothing is written or taken before `begin`, which knows the step from which the run continues.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before: list[CurvePoint] = []
        self._new: list[CurvePoint] = []
        self._losses: list[float] = []
        self._step_count = 0  # 0: not begun

    def begin(self, first_step: int, step_count: int) -> None:
        """Continues the file of an earlier attempt.

        Args:
            first_step: Steps that are done. Points beyond them are dropped: those steps run again.
            step_count: Steps of the whole run.
        """
        self._step_count = step_count
        earlier = [point for point in read_curve(self._path) if point.step <= first_step]
        self._new = _merged([*earlier, *self._before])
        self._path.parent.mkdir(parents=True, exist_ok=True)
        rewritten = self._path.with_suffix(f".{os.getpid()}.tmp")
        rewritten.write_text("".join(map(_line, self._new)), "utf-8")
        rewritten.replace(self._path)

    def record_step(self, step: int, loss: float, learning_rate: float) -> None:
        """Records the loss after a step, counted from 1.

        Of a run with more than `CURVE_POINTS` steps only every second, third and so on becomes a point, with the mean
        loss since the point before.
        """
        self._losses.append(loss)
        if step % math.ceil(self._step_count / CURVE_POINTS) == 0 or step == self._step_count:
            mean = math.fsum(self._losses) / len(self._losses)
            self._losses.clear()
            self._add(CurvePoint(step, datetime.now(UTC), mean, learning_rate))

    def record_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Records metrics, by their names, at a step."""
        self._add(CurvePoint(step, datetime.now(UTC), metrics=dict(metrics)))

    def take(self) -> tuple[CurvePoint, ...]:
        """Returns the points recorded since the last call, in the order of their steps."""
        taken, self._new = tuple(_merged(self._new)), []
        return taken

    def _add(self, point: CurvePoint) -> None:
        if not self._step_count:
            self._before.append(point)
            return
        self._new.append(point)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(point))


def read_curve(path: Path) -> list[CurvePoint]:
    """Reads the curve in a file, by step; empty without a file. Skips lines that a crash cut short."""
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return _merged(point for line in lines if (point := _point(line)) is not None)


def _merged(points: Iterable[CurvePoint]) -> list[CurvePoint]:
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
