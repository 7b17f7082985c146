import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.fine_tuning_runs import Killed
from support.shop_log import shop_log, tiny_settings

from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import CURVE_POINTS, CurvePoint, FineTuningSettings, Phase, TrainingProgress
from clickstream.training import curve as module
from clickstream.training import fine_tune
from clickstream.training import progress as progress_module
from clickstream.training.curve import CURVE_FILE, Curve, read_curve
from clickstream.training.learning import loop


def steps(points: list[CurvePoint]) -> list[int]:
    """The steps of the points."""
    return [point.step for point in points]


def test_every_step_is_a_line(tmp_path: Path) -> None:
    """The file has loss, learning rate and metrics of each step, and each point is taken once."""
    curve = Curve(tmp_path / "run" / "curve.jsonl")
    curve.record_metrics(0, {"base_ndcg_at_10": 0.25})
    assert curve.take() == ()
    curve.begin(0, 3)
    curve.record_step(1, 0.5, 1e-4)
    assert steps(curve.take()) == [0, 1]
    curve.record_step(2, 0.25, 2e-4)
    curve.record_metrics(2, {"validation_ndcg_at_10": 0.5})
    taken = curve.take()
    assert [(point.step, point.loss, point.metrics) for point in taken] == [(2, 0.25, {"validation_ndcg_at_10": 0.5})]
    assert curve.take() == ()
    path = tmp_path / "run" / "curve.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2, 2]
    assert lines[0]["metrics"] == {"base_ndcg_at_10": 0.25}
    assert (lines[1]["loss"], lines[1]["learning_rate"]) == (0.5, 1e-4)
    assert read_curve(path)[2] == taken[0]


def test_r16_a_resumed_curve_continues_where_the_run_does(tmp_path: Path) -> None:
    """R16: points beyond the checkpoint are dropped and recorded again, and those before it are taken again."""
    first = Curve(tmp_path / "curve.jsonl")
    first.record_metrics(0, {"base_ndcg_at_10": 0.25})
    first.begin(0, 5)
    for step in range(1, 5):
        first.record_step(step, float(step), 1e-4)
    kept = first.take()
    second = Curve(tmp_path / "curve.jsonl")
    second.record_metrics(0, {"base_ndcg_at_10": 0.25})
    second.begin(2, 5)
    assert second.take() == kept[:3]
    second.record_step(3, 3.0, 1e-4)
    assert steps(read_curve(tmp_path / "curve.jsonl")) == [0, 1, 2, 3]
    assert len((tmp_path / "curve.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize("end", ['{"step": 2, "logg', '{"step": 2}\n', "[]\n", "\0\0\0", '{"step": 2, "x": 1}\n'])
def test_r16_a_line_that_a_crash_left_is_no_point(tmp_path: Path, end: str) -> None:
    """R16: a damaged line costs that line, not the run, and the next attempt's lines are whole."""
    curve = Curve(tmp_path / "curve.jsonl")
    curve.begin(0, 5)
    curve.record_step(1, 0.5, 1e-4)
    with (tmp_path / "curve.jsonl").open("a") as file:
        file.write(end)
    assert steps(read_curve(tmp_path / "curve.jsonl")) == [1]
    again = Curve(tmp_path / "curve.jsonl")
    again.begin(1, 5)
    again.record_step(2, 0.25, 1e-4)
    assert steps(read_curve(tmp_path / "curve.jsonl")) == [1, 2]


@pytest.mark.parametrize("step_count", [1, CURVE_POINTS, CURVE_POINTS + 1, 10 * CURVE_POINTS + 7])
def test_r7_a_long_run_logs_every_nth_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step_count: int) -> None:
    """R7: at most `CURVE_POINTS` losses and the last step's; each is the mean since the point before."""
    monkeypatch.setattr(Curve, "_add", lambda self, point: self._new.append(point))  # without the file, which is slow
    curve = Curve(tmp_path / "curve.jsonl")
    curve.begin(0, step_count)
    for step in range(1, step_count + 1):
        curve.record_step(step, float(step), 1e-4)
    points = curve.take()
    assert min(step_count, CURVE_POINTS / 2) <= len(points) <= CURVE_POINTS + 1
    assert points[-1].step == step_count
    before = 0
    for point in points:
        assert point.loss == pytest.approx((before + 1 + point.step) / 2)
        before = point.step


def train(data_dir: Path, settings: FineTuningSettings, report: Callable[[TrainingProgress], None]) -> ModelVersion:
    """Fine-tunes on the shop log."""
    return fine_tune("run-1", settings, shop_log(1), data_dir=data_dir, report=report, is_canceled=lambda: False)


def content(points: list[CurvePoint]) -> list[tuple[object, ...]]:
    """The points without their times."""
    return [(point.step, point.loss, point.learning_rate, point.metrics) for point in points]


def test_r16_a_killed_run_ends_with_the_curve_of_one_that_was_not(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R16: base metrics, every step once and new metrics are in the model's folder, and in all reports together."""
    monkeypatch.setattr(loop, "STEPS_PER_CHECKPOINT", 3)
    monkeypatch.setattr(progress_module, "SECONDS_PER_REPORT", 0.0)
    settings = tiny_settings(str(tiny_encoder))
    reports: list[TrainingProgress] = []
    version = train(tmp_path / "whole", settings, reports.append)
    whole = read_curve(Path(version.path) / CURVE_FILE)
    assert steps(whole) == list(range(reports[-1].step_count + 1))
    assert [point for report in reports for point in report.points][-1].metrics["new_ndcg_at_10"] > 0
    assert module._merged(point for report in reports for point in report.points) == whole
    assert whole[0].metrics["base_ndcg_at_10"] == version.evaluation.base.ndcg_at_10
    assert whole[-1].metrics["new_ndcg_at_10"] == version.evaluation.new.ndcg_at_10
    known = [report.metrics for report in reports if report.phase is Phase.TRAINING]
    assert all(metrics["base_ndcg_at_10"] == version.evaluation.base.ndcg_at_10 for metrics in known)

    def kill(progress: TrainingProgress) -> None:
        if progress.phase == Phase.TRAINING and progress.step == 5:
            raise Killed

    with pytest.raises(Killed):
        train(tmp_path / "killed", settings, kill)
    resumed: list[TrainingProgress] = []
    again = train(tmp_path / "killed", settings, resumed.append)
    assert content(read_curve(Path(again.path) / CURVE_FILE)) == content(whole)
    begins = next(report for report in resumed if report.points)
    assert (begins.step, steps(list(begins.points))) == (3, [0, 1, 2, 3])

    finished: list[TrainingProgress] = []
    train(tmp_path / "killed", settings, finished.append)
    assert content(list(finished[-1].points)) == content(whole)
    assert finished[-1].step == whole[-1].step
