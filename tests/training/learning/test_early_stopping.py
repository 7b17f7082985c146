from pathlib import Path

import pytest
import torch
from support.shop_log import shop_log, tiny_settings

from clickstream.training.data.dataset import read_dataset
from clickstream.training.encoder.encoder import load_encoder
from clickstream.training.learning.early_stopping import EarlyStopping, validation_score


def layer(weight: float) -> torch.nn.Module:
    """A layer with one weight."""
    made = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(made.weight, weight)
    return made


def test_training_stops_after_patience_epochs_without_a_better_score() -> None:
    """With patience 2 and the best score in the second epoch, the fourth is the last; an equal score is not better."""
    stopping = EarlyStopping(patience=2)
    due = []
    for epoch, score in enumerate([0.5, 0.6, 0.6, 0.4]):
        stopping.after_epoch(score, layer(epoch))
        due.append(stopping.is_due)
    assert due == [False, False, False, True]
    restored = layer(9)
    stopping.restore_best(restored)
    assert restored.weight.item() == 1  # type: ignore[operator]


def test_without_patience_training_never_stops() -> None:
    """With patience 0 the end is never due, and no weights are restored."""
    stopping = EarlyStopping(patience=0)
    assert not stopping.is_due
    kept = layer(3)
    stopping.restore_best(kept)
    assert kept.weight.item() == 3  # type: ignore[operator]


def test_kept_weights_are_a_copy() -> None:
    """Later optimizer steps do not change the kept weights."""
    stopping, model = EarlyStopping(patience=1), layer(1)
    stopping.after_epoch(0.5, model)
    with torch.no_grad():
        model.weight.fill_(7)  # type: ignore[operator]
    stopping.restore_best(model)
    assert model.weight.item() == 1  # type: ignore[operator]


def test_r16_the_state_is_saved_and_restored() -> None:
    """R16: after its state is restored, it stops at the same epoch with the same weights."""
    stopping = EarlyStopping(patience=2)
    stopping.after_epoch(0.5, layer(1))
    stopping.after_epoch(0.3, layer(2))
    again = EarlyStopping(patience=2)
    again.load(stopping.state())
    again.after_epoch(0.2, layer(3))
    assert again.is_due
    restored = layer(9)
    again.restore_best(restored)
    assert restored.weight.item() == 1  # type: ignore[operator]


def test_the_score_is_of_the_validation_queries_alone(tiny_encoder: Path) -> None:
    """Only the gains of validation queries change the score."""
    dataset = read_dataset(shop_log(2), tiny_settings(str(tiny_encoder), early_stopping_patience=1))
    encoder = load_encoder(str(tiny_encoder), 16, "cpu")
    fold = dataset.folds[0]
    score = validation_score(encoder, fold.validation, dataset.texts, lambda: None)
    assert 0 < score < 1
    for example in fold.training + fold.held_out:
        example.gains.clear()
    assert validation_score(encoder, fold.validation, dataset.texts, lambda: None) == pytest.approx(score)
    for example in fold.validation:
        example.gains.update(dict.fromkeys(example.gains, 1.0))
    assert validation_score(encoder, fold.validation, dataset.texts, lambda: None) > score
