"""What the fine-tuning module of a process trains from."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.builders import training_run

from clickstream.app import trainer as module
from clickstream.app.settings import Settings
from clickstream.domain.runs import FineTuningSettings


@pytest.mark.parametrize(
    ("asked", "configured", "base_model"),
    [
        ("base", "", "the packaged one"),
        ("", "", "the packaged one"),
        ("base", "ours", "ours"),
        ("", "ours", "ours"),
        ("a-version", "ours", "a-version"),
    ],
)
def test_r17_base_is_the_trainers_own_base_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: str, configured: str, base_model: str
) -> None:
    """R17: a run whose service has no base model configured starts from that of the trainer, or the packaged one."""
    started: list[FineTuningSettings] = []

    def fine_tune(run_id: str, settings: FineTuningSettings, *_: object, **__: object) -> None:
        started.append(settings)

    for name in ("clickstream.training", "clickstream.training.run"):  # the real ones take seconds
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(fine_tune=fine_tune))
    monkeypatch.setattr(module, "packaged_model", lambda: "the packaged one")
    settings = Settings(data_dir=tmp_path, base_model=configured)
    servicer = module.fine_tuning(settings, module.default_settings(settings))
    wanted = replace(training_run().settings, base_model=asked)
    servicer._train("run-1", wanted, iter(()), [], 0, report=lambda _: None, is_canceled=lambda: False)
    assert [each.base_model for each in started] == [base_model]
