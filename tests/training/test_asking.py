"""Every long loop of a training asks whether it may go on (R16), and the process ends although one does not (R20)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.builders import training_run
from support.fine_tuning_runs import fine_tune_shop_log
from support.tiny_encoder import HIDDEN

from clickstream.domain.judgements import JudgedQuery
from clickstream.domain.runs import FineTuningSettings
from clickstream.training.asking import asking, may_go_on
from clickstream.training.data.dataset import Dataset
from clickstream.training.data.examples import Example
from clickstream.training.encoder import encoder as encoder_module
from clickstream.training.encoder.encoder import load_encoder, token_counts
from clickstream.training.learning.steps import near_equal_queries
from clickstream.training.measuring.judged_queries import judged_set
from clickstream.training.measuring.metrics import bootstrap_intervals
from clickstream.training.measuring.ranking import score
from clickstream.training.progress import Canceled

EXAMPLES = [Example(f"query {number}", {}, {0: 1.0}) for number in range(600)]


def counting_tokens(folder: Path) -> None:
    """Counts the tokens of a catalogue."""
    token_counts(load_encoder(str(folder), 8, "cpu"), ["red shoe"] * 3_000)


def measuring(folder: Path) -> None:
    """Ranks for many queries; the chunks that are encoded ask by themselves."""
    items = torch.nn.functional.normalize(torch.ones(3, HIDDEN), dim=1)
    score(load_encoder(str(folder), 8, "cpu"), EXAMPLES, items, lambda: None)


def comparing(_: Path) -> None:
    """Draws the resamples of many queries."""
    bootstrap_intervals(np.zeros((2_000, 1)), 1)


def finding_near_queries(_: Path) -> None:
    """Compares all training queries with each other."""
    near_equal_queries(torch.eye(3_000, 8))


def pooling_judgements(_: Path) -> None:
    """Pools judged queries."""
    empty = Dataset.__new__(Dataset)
    object.__setattr__(empty, "folds", [])
    judged_set([JudgedQuery(f"query {number}", {"a": 1}) for number in range(5)], empty, {"a": 0})


@pytest.mark.parametrize(
    "work",
    [counting_tokens, measuring, comparing, finding_near_queries, pooling_judgements],
    ids=lambda work: work.__name__,
)
def test_r16_every_long_loop_asks(tiny_encoder: Path, work: Callable[[Path], None]) -> None:
    """R16: each loop asks more than once, so that it ends in the middle and not at its end."""
    asked = []
    with asking(lambda: asked.append(1)):
        work(tiny_encoder)
    assert len(asked) > 1

    def cancel() -> None:
        raise Canceled

    with asking(cancel), pytest.raises(Canceled):
        work(tiny_encoder)


def test_r16_a_run_is_asked_in_its_depths(
    tmp_path: Path, settings: FineTuningSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R16: within a run, a loop that is canceled in its depths ends the run."""
    reached = False

    def counted(*_: object) -> list[int]:
        nonlocal reached
        reached = True
        may_go_on()
        raise AssertionError("went on")

    monkeypatch.setattr(encoder_module, "token_counts", counted)
    with pytest.raises(Canceled):
        fine_tune_shop_log(tmp_path, settings, is_canceled=lambda: reached)
    assert training_run().run_id  # outside of a run, asking does nothing
    may_go_on()
