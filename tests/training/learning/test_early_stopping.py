from pathlib import Path

import pytest
import torch
from support.shop_log import shop_log, tiny_settings

from clickstream.training.data.dataset import read_dataset
from clickstream.training.encoder.encoder import load_encoder
from clickstream.training.learning.early_stopping import EarlyStopping, validation_score


def layer(weight: float) -> torch.nn.Module:
    """One weight."""
    made = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(made.weight, weight)
    return made


def test_training_stops_after_so_many_epochs_without_a_better_score() -> None:
    """Patience 2: the best epoch is the second, an equal score is not better, the fourth is the last."""
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
    """0 is off: nothing is due, and there is nothing to go back to."""
    stopping = EarlyStopping(patience=0)
    assert not stopping.is_due
    kept = layer(3)
    stopping.restore_best(kept)
    assert kept.weight.item() == 3  # type: ignore[operator]


def test_kept_weights_are_a_copy() -> None:
    """What the optimizer does afterwards does not reach them."""
    stopping, model = EarlyStopping(patience=1), layer(1)
    stopping.after_epoch(0.5, model)
    with torch.no_grad():
        model.weight.fill_(7)  # type: ignore[operator]
    stopping.restore_best(model)
    assert model.weight.item() == 1  # type: ignore[operator]


def test_the_state_goes_through_a_checkpoint() -> None:
    """R16: taken up again, it stops at the same epoch with the same weights."""
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
    """Mean nDCG@10 of their gains over the texts shown for them: 1 for the order of the gains."""
    dataset = read_dataset(shop_log(2), tiny_settings(str(tiny_encoder), early_stopping_patience=1))
    encoder = load_encoder(str(tiny_encoder), 16, "cpu")
    score = validation_score(encoder, dataset, lambda: None)
    assert 0 < score < 1
    for example in dataset.training + dataset.held_out:
        example.gains.clear()
    assert validation_score(encoder, dataset, lambda: None) == pytest.approx(score)
    for example in dataset.validation:
        example.gains.update(dict.fromkeys(example.gains, 1.0))
    assert validation_score(encoder, dataset, lambda: None) > score
