"""A run with folds: what it measures, that it survives a kill, and what the next run knows of it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.fine_tuning_runs import Killed, assert_same_weights, weights
from support.shop_log import shop_log

from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import FineTuningSettings, Phase, TrainingProgress
from clickstream.domain.training_inputs import TrainingInput
from clickstream.training import Canceled, fine_tune
from clickstream.training import progress as progress_module
from clickstream.training.curve import CURVE_FILE, read_curve
from clickstream.training.encoder.version_folder import load_version, trained_queries
from clickstream.training.learning import loop


@pytest.fixture(scope="module")
def folded(settings: FineTuningSettings) -> FineTuningSettings:
    """Settings with three folds, a fifth of the sessions held out, and a step scale of the run's own choice."""
    return replace(settings, folds=3, held_out_session_share=0.2, step_scale=0.0)


def sessions() -> list[TrainingInput]:
    """The shop log with four sessions for each query."""
    return [replace(one, session_id=f"{one.session_id} {number}") for number in range(4) for one in shop_log(1)]


def run(
    data_dir: Path,
    settings: FineTuningSettings,
    *,
    run_id: str = "run-1",
    report: object = None,
    is_canceled: object = None,
    earlier_runs: int = 0,
) -> ModelVersion:
    """Fine-tunes on the sessions."""
    return fine_tune(
        run_id,
        settings,
        sessions(),
        earlier_runs=earlier_runs,
        data_dir=data_dir,
        report=report or (lambda _: None),  # type: ignore[arg-type]
        is_canceled=is_canceled or (lambda: False),  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def crossed(folded: FineTuningSettings, tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    """An uninterrupted run with folds."""
    return run(tmp_path_factory.mktemp("crossed"), folded)


def test_r28_a_run_gives_two_answers(crossed: ModelVersion) -> None:
    """R28: every query measures what was never searched, trained ones also what is repeated, and both are better."""
    evaluation = crossed.evaluation
    assert crossed.data.held_out_queries == crossed.data.training_queries == 80
    assert evaluation.repeated is not None
    assert evaluation.repeated.query_count > 60
    assert min(evaluation.ndcg_gain.lower, evaluation.repeated.ndcg_gain.lower) > 0.1
    assert evaluation.weighted_gain is not None
    low, high = sorted((evaluation.ndcg_gain.mean, evaluation.repeated.ndcg_gain.mean))
    assert low - 1e-9 <= evaluation.weighted_gain.mean <= high + 1e-9
    assert (evaluation.folds, evaluation.repeated_share) == (3, 1.0)
    assert [each.scale for each in evaluation.step_scales] == [0.0, 0.25, 0.5, 1.0]
    # The mean of three models goes sqrt(3) times as far as one.
    assert evaluation.step_scale in (pytest.approx(0.25 * 3**0.5), pytest.approx(0.5 * 3**0.5), 1.0)
    assert crossed.gate_passed
    assert load_version(Path(crossed.path)) == crossed
    card = (Path(crossed.path) / "README.md").read_text()
    for words in ("searches that people repeat", "searches that nobody made", "Step scale", "3 folds"):
        assert words in card


def test_r28_the_new_model_is_the_mean_of_the_folds(
    crossed: ModelVersion, folded: FineTuningSettings, tmp_path: Path
) -> None:
    """R28: with half the scale, each weight lies half as far from the base model's."""
    whole, half = (weights(run(tmp_path, replace(folded, step_scale=s), run_id=f"s{s}")) for s in (1.0, 0.5))
    base = weights(replace(crossed, path=folded.base_model))
    for name, weight in whole.items():
        assert torch.allclose(half[name], base[name] + 0.5 * (weight - base[name]), atol=1e-6)


@pytest.mark.parametrize("killed_after", [2, 14, 26])
def test_r16_a_run_killed_in_any_fold_ends_with_the_same_model(
    crossed: ModelVersion,
    folded: FineTuningSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    killed_after: int,
) -> None:
    """R16: killed in the first, second or third fold, a run continues there, and its curve has every step once."""
    monkeypatch.setattr(loop, "STEPS_PER_CHECKPOINT", 3)
    monkeypatch.setattr(progress_module, "SECONDS_PER_REPORT", 0.0)
    steps: list[int] = []

    def kill(progress: TrainingProgress) -> None:
        if progress.phase == Phase.TRAINING and progress.step == killed_after:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path, folded, report=kill)
    torch.manual_seed(killed_after)

    def count(progress: TrainingProgress) -> None:
        if progress.phase == Phase.TRAINING:
            steps.append(progress.step)

    resumed = run(tmp_path, folded, report=count)
    assert killed_after - 4 <= steps[0] < killed_after
    assert_same_weights(crossed, resumed)
    assert resumed.evaluation == crossed.evaluation
    curves = [[(p.step, p.loss) for p in read_curve(Path(v.path) / CURVE_FILE)] for v in (crossed, resumed)]
    assert curves[0] == curves[1]
    assert not list((tmp_path / "runs").iterdir())


def test_r16_cancel_stops_within_one_step_in_every_fold(
    folded: FineTuningSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R16: the run ends with the step at which it is canceled, whichever fold trains."""
    monkeypatch.setattr(progress_module, "SECONDS_PER_REPORT", 0.0)
    for stop_at in (1, 15, 28):
        seen: list[TrainingProgress] = []
        with pytest.raises(Canceled):
            run(
                tmp_path,
                folded,
                report=seen.append,
                is_canceled=lambda seen=seen, stop_at=stop_at: bool(seen) and seen[-1].step >= stop_at,
            )
        assert seen[-1].step == stop_at


def test_r17_the_next_run_knows_the_queries_of_its_base_model(
    crossed: ModelVersion, folded: FineTuningSettings, tmp_path: Path
) -> None:
    """R17: a run on the same searches says that its base model was trained on them, and lists them on."""
    known = trained_queries(Path(crossed.path))
    assert known is not None
    assert len(known) == 80
    shutil.copytree(crossed.path, tmp_path / "models" / crossed.model_version_id)
    base = replace(folded, base_model=crossed.model_version_id, epochs=1)
    version = run(tmp_path, base, run_id="run-2")
    assert version.evaluation.repeated_share_basis == "base_model"
    assert "the base model was trained on some of the held-out queries" in version.gate_reason
    assert trained_queries(Path(version.path)) == known


def test_r17_a_folder_without_its_queries_says_so(crossed: ModelVersion, tmp_path: Path) -> None:
    """R17: a version of an earlier release has no list, which is not an empty one."""
    assert trained_queries(tmp_path) is None


def test_r17_earlier_runs_change_the_gate_and_not_the_model(
    crossed: ModelVersion, folded: FineTuningSettings, tmp_path: Path
) -> None:
    """R17: after nine runs on the same batch the weights are the same, and the interval is wider."""
    again = run(tmp_path, folded, earlier_runs=9)
    assert_same_weights(crossed, again)
    assert again.evaluation.weighted_gain is not None
    assert crossed.evaluation.weighted_gain is not None
    assert again.evaluation.weighted_gain.lower < crossed.evaluation.weighted_gain.lower
