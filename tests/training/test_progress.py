from pathlib import Path
from types import SimpleNamespace

import pytest

from clickstream.domain.evaluations import Metrics
from clickstream.domain.runs import Phase, TrainingProgress
from clickstream.training import progress as module
from clickstream.training.curve import Curve, read_curve
from clickstream.training.progress import Progress

BASE, NEW = Metrics(0.25, 0.5, 0.75), Metrics(0.5, 0.5, 1.0)


@pytest.fixture(autouse=True)
def rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """No report is due by the clock."""
    monkeypatch.setattr(module, "SECONDS_PER_REPORT", 3600)


def play(progress: Progress) -> None:
    """A training of three steps, measured before, in the middle and afterwards."""
    progress.enter_phase(Phase.EVALUATING_BASE)
    progress.report_metrics(BASE.named("base"))
    progress.start_training(0, 3)
    for step in range(1, 4):
        progress.after_step(1 / step, 1e-4, queries=2)
        if step == 2:
            progress.report_metrics(BASE.named("validation"))
    progress.enter_phase(Phase.EVALUATING_NEW)
    progress.report_metrics(NEW.named("new"))


def test_metrics_are_reported_at_once_and_stay(tmp_path: Path) -> None:
    """Metrics are reported at once, and are in every report from then on."""
    seen: list[TrainingProgress] = []
    play(Progress(seen.append, lambda: False, Curve(tmp_path / "curve.jsonl")))
    assert [sorted({name.partition("_")[0] for name in report.metrics}) for report in seen] == [
        [],
        ["base"],
        ["base"],
        ["base", "validation"],
        ["base", "validation"],
        ["base", "new", "validation"],
    ]
    assert seen[-1].metrics["new_recall_at_10"] == 1.0
    assert seen[3].step == 2


def test_every_step_is_in_the_points_of_some_report(tmp_path: Path) -> None:
    """The points of all reports together are the curve, each once."""
    seen: list[TrainingProgress] = []
    play(Progress(seen.append, lambda: False, Curve(tmp_path / "curve.jsonl")))
    points = [point for report in seen for point in report.points]
    assert [(point.step, point.loss) for point in points] == [(0, None), (1, 1), (2, 1 / 2), (3, 1 / 3), (3, None)]
    curve = read_curve(tmp_path / "curve.jsonl")
    assert curve[:3] == points[:3]
    assert curve[3] == points[3].merged(points[4])


def test_progress_without_a_curve_reports_everything_else() -> None:
    """Without a curve phases and metrics are reported, and no points."""
    seen: list[TrainingProgress] = []
    play(Progress(seen.append, lambda: False))
    assert seen[-1].metrics["new_ndcg_at_10"] == NEW.ndcg_at_10
    assert not any(report.points for report in seen)


def test_the_time_left_is_estimated_from_the_steps_of_this_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that continues from step 10 of 30 with 2 s a step has 38 s left after one step, and 36 s after two."""
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "SECONDS_PER_REPORT", 0.0)
    seen: list[TrainingProgress] = []
    progress = Progress(seen.append, lambda: False)
    progress.start_training(10, 30)
    left = []
    for _ in range(2):
        clock.now += 2.0
        progress.after_step(0.5, 1e-4, queries=6)
        left.append(seen[-1].remaining_seconds)
        assert seen[-1].queries_per_second == pytest.approx(3.0)
    assert left == pytest.approx([38.0, 36.0])
