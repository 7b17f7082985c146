"""A run that is killed, at any step, ends as if it had not been (R16)."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.fine_tuning_runs import Killed, assert_same_weights, fine_tune_shop_log

from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import FineTuningSettings, Phase, TrainingProgress
from clickstream.training import progress as progress_module
from clickstream.training.curve import CURVE_FILE, read_curve
from clickstream.training.learning import loop

# Settings that give a checkpoint every kind of state.
ADAPTED: dict[str, object] = {"lora_rank": 4, "loss": "contrastive", "early_stopping_patience": 5}


def steps_to(steps: list[int]) -> Callable[[TrainingProgress], None]:
    """A report that appends every step of the training phase to a list."""
    return lambda progress: steps.append(progress.step) if progress.phase == Phase.TRAINING else None


@pytest.mark.parametrize("killed_after", [1, 3, 4, 7])
def test_r16_a_killed_run_ends_with_the_same_weights(
    finished: ModelVersion,
    settings: FineTuningSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    killed_after: int,
) -> None:
    """R16: killed before, at and after a checkpoint (every 3 steps), a run ends with bitwise the same weights."""
    monkeypatch.setattr(loop, "STEPS_PER_CHECKPOINT", 3)
    monkeypatch.setattr(progress_module, "SECONDS_PER_REPORT", 0.0)
    steps: list[int] = []

    def kill(progress: TrainingProgress) -> None:
        if progress.phase == Phase.TRAINING and progress.step == killed_after:
            raise Killed

    with pytest.raises(Killed):
        fine_tune_shop_log(tmp_path, settings, report=kill)
    torch.manual_seed(killed_after)  # a new process starts with any random state
    resumed = fine_tune_shop_log(tmp_path, settings, report=steps_to(steps))
    assert steps[0] == (killed_after - 1) // 3 * 3  # the report comes before the checkpoint
    assert_same_weights(finished, resumed)
    assert resumed.model_version_id == finished.model_version_id
    assert resumed.evaluation == finished.evaluation
    curves = [read_curve(Path(version.path) / CURVE_FILE) for version in (finished, resumed)]
    whole, continued = ([(point.step, point.loss) for point in curve] for curve in curves)
    assert continued == whole, "every step is in the curve once"


@pytest.mark.parametrize("phase", [Phase.EVALUATING_NEW, Phase.SAVING])
def test_r16_a_run_killed_after_training_does_not_train_again(
    finished: ModelVersion, settings: FineTuningSettings, tmp_path: Path, phase: Phase
) -> None:
    """R16: the last checkpoint is of the last step."""

    def kill(progress: TrainingProgress) -> None:
        if progress.phase == phase:
            raise Killed

    with pytest.raises(Killed):
        fine_tune_shop_log(tmp_path, settings, report=kill)
    seen: list[TrainingProgress] = []
    resumed = fine_tune_shop_log(tmp_path, settings, report=seen.append)
    assert {p.step for p in seen if p.phase == Phase.TRAINING} == {seen[-1].step_count}
    assert_same_weights(finished, resumed)


KILLED = """
import json, sys, time, torch
torch.set_num_threads(1)
from pathlib import Path
from support.shop_log import shop_log, tiny_settings
from clickstream.training import fine_tune, progress
from clickstream.training.learning import loop
loop.STEPS_PER_CHECKPOINT = 2
progress.SECONDS_PER_REPORT = 0.0

def say(now):
    if now.phase == "training":
        print(now.step, flush=True)
        time.sleep(0.01)

settings = tiny_settings(sys.argv[1], **json.loads(sys.argv[3]))
fine_tune("run-1", settings, shop_log(1), data_dir=Path(sys.argv[2]), report=say, is_canceled=lambda: False)
"""


@pytest.mark.parametrize("changes", [{}, ADAPTED], ids=["weights", "adapters"])
def test_r16_a_killed_process_ends_with_the_same_weights(
    settings: FineTuningSettings, tmp_path: Path, changes: dict[str, object]
) -> None:
    """R16: a new process after SIGKILL at a random step ends with bitwise the same weights."""
    changes = {**changes, "epochs": 6}
    kill_at = random.SystemRandom().randrange(4, 10)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, settings.base_model, str(tmp_path / "killed"), json.dumps(changes)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        reached = next(step for step in map(int, process.stdout) if step >= kill_at)
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list((tmp_path / "killed" / "models").glob("*"))

    changed = replace(settings, **changes)  # type: ignore[arg-type]
    steps: list[int] = []
    resumed = fine_tune_shop_log(tmp_path / "killed", changed, report=steps_to(steps))
    assert steps[0] >= (reached - 1) // 2 * 2, f"killed at {reached}"
    assert_same_weights(fine_tune_shop_log(tmp_path / "whole", changed), resumed)


def test_r16_a_killed_run_stops_as_early(
    settings: FineTuningSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R16: the best epoch's score and weights are in the checkpoint, so a resumed run stops at the same step."""
    monkeypatch.setattr(loop, "STEPS_PER_CHECKPOINT", 3)
    monkeypatch.setattr(progress_module, "SECONDS_PER_REPORT", 0.0)
    changed = replace(settings, epochs=20, early_stopping_patience=2, learning_rate=3e-2)
    seen: list[TrainingProgress] = []
    whole = fine_tune_shop_log(tmp_path / "whole", changed, report=seen.append)
    last = max(progress.step for progress in seen)
    assert last < seen[-1].step_count, "it did not stop early"

    for killed_after in (last - 5, last - 1, last):

        def kill(progress: TrainingProgress, at: int = killed_after) -> None:
            if progress.phase == Phase.TRAINING and progress.step == at:
                raise Killed

        folder = tmp_path / str(killed_after)
        with pytest.raises(Killed):
            fine_tune_shop_log(folder, changed, report=kill)
        again: list[TrainingProgress] = []
        assert_same_weights(whole, fine_tune_shop_log(folder, changed, report=again.append))
        assert max(progress.step for progress in again) == last


def test_r16_a_finished_run_returns_its_version_at_once(settings: FineTuningSettings, tmp_path: Path) -> None:
    """R16: a run that is started again after its end trains nothing, and returns the same version."""
    first = fine_tune_shop_log(tmp_path, settings)
    phases: list[Phase] = []
    again = fine_tune_shop_log(tmp_path, settings, report=lambda progress: phases.append(progress.phase))
    assert again == first
    assert set(phases) == {Phase.RECEIVING_INPUTS}


def test_r17_a_checkpoint_of_other_settings_is_ignored(
    settings: FineTuningSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R17: the result depends on the settings of this run only, not on an earlier attempt's checkpoint."""
    monkeypatch.setattr(loop, "STEPS_PER_CHECKPOINT", 1)
    monkeypatch.setattr(progress_module, "SECONDS_PER_REPORT", 0.0)
    changed = replace(settings, temperature=0.1, epochs=1)

    def kill(progress: TrainingProgress) -> None:
        if progress.step == 3:
            raise Killed

    with pytest.raises(Killed):
        fine_tune_shop_log(tmp_path / "a", settings, report=kill)
    assert (tmp_path / "a" / "runs" / "run-1" / "checkpoint.pt").exists()
    assert_same_weights(fine_tune_shop_log(tmp_path / "a", changed), fine_tune_shop_log(tmp_path / "b", changed))
