"""Fine-tunes the tiny encoder, and compares the models that come out."""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import FineTuningSettings, TrainingProgress
from clickstream.training import fine_tune
from support.shop_log import shop_log


class Killed(BaseException):
    """Stands for a killed process: no code of ours may catch it."""


def fine_tune_shop_log(
    data_dir: Path,
    settings: FineTuningSettings,
    *,
    run_id: str = "run-1",
    report: Callable[[TrainingProgress], None] = lambda progress: None,
    is_canceled: Callable[[], bool] = lambda: False,
) -> ModelVersion:
    """Fine-tunes on the shop log, with one session per query."""
    return fine_tune(run_id, settings, shop_log(1), data_dir=data_dir, report=report, is_canceled=is_canceled)


def weights(version: ModelVersion) -> dict[str, torch.Tensor]:
    """Loads the tensors of a model version, by name."""
    return dict(load_file(Path(version.path) / "model.safetensors"))


def assert_same_weights(one: ModelVersion, other: ModelVersion) -> None:
    """Asserts that two model versions have bitwise the same tensors."""
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
