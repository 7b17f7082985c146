from pathlib import Path

import pytest

from clickstream.domain.evaluations import Metrics
from clickstream.domain.runs import Phase, TrainingProgress
from clickstream.training import progress as module
from clickstream.training.curve import Curve, read_curve
from clickstream.training.progress import Progress

BASE, NEW = Metrics(0.25, 0.5, 0.75), Metrics(0.5, 0.5, 1.0)


@pytest.fixture(autouse=True)
def rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """No report comes by the clock."""
    monkeypatch.setattr(module, "SECONDS_PER_REPORT", 3600)


def play(progress: Progress) -> None:
    """A training of three steps, measured before, in the middle and afterwards."""
    progress.enter(Phase.EVALUATING_BASE)
    progress.measured(BASE.named("base"))
    progress.start_training(0, 3)
    for step in range(1, 4):
        progress.after_step(1 / step, 1e-4, queries=2)
        if step == 2:
            progress.measured(BASE.named("validation"))
    progress.enter(Phase.EVALUATING_NEW)
    progress.measured(NEW.named("new"))


def test_metrics_are_reported_as_they_come_and_stay(tmp_path: Path) -> None:
    """Each measurement is reported at once, whenever the last report was, and is in every report from then on."""
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
    """However few reports there are, their points together are the curve, and none comes twice."""
    seen: list[TrainingProgress] = []
    play(Progress(seen.append, lambda: False, Curve(tmp_path / "curve.jsonl")))
    points = [point for report in seen for point in report.points]
    assert [(point.step, point.loss) for point in points] == [(0, None), (1, 1), (2, 1 / 2), (3, 1 / 3), (3, None)]
    curve = read_curve(tmp_path / "curve.jsonl")
    assert curve[:3] == points[:3]
    assert curve[3] == points[3].merged(points[4])


def test_of_several_processes_only_one_needs_a_curve() -> None:
    """Without a curve everything else is reported all the same."""
    seen: list[TrainingProgress] = []
    play(Progress(seen.append, lambda: False))
    assert seen[-1].metrics["new_ndcg_at_10"] == NEW.ndcg_at_10
    assert not any(report.points for report in seen)
