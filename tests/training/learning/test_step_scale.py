"""The step scale: how far the new model goes from the base model to the trained weights (R28)."""

import numpy as np
import pytest
import torch

from clickstream.training.learning.step_scale import SCALES, choose_scale, mean_weights, set_scaled, weights_of

HELD_OUT = np.array([True] * 50 + [False] * 50)
EQUAL = np.ones(100)


def scores(held_out: list[float], repeated: list[float], noise: float = 0.0) -> np.ndarray:
    """Scores of 50 held-out and 50 repeated queries with the base model and with each scale."""
    noises = np.random.default_rng(1).normal(0, noise, (100, 1 + len(SCALES)))
    return np.vstack([np.tile(held_out, (50, 1)), np.tile(repeated, (50, 1))]) + noises


def layer(*values: float) -> torch.nn.Linear:
    """A layer with these weights and no bias."""
    made = torch.nn.Linear(len(values), 1, bias=False)
    made.weight.data = torch.tensor([values])
    return made


def test_r28_the_whole_way_is_gone_where_it_is_better() -> None:
    """R28: the scale with the best weighted score wins, if it is better beyond one standard error."""
    assert choose_scale(scores([0.3, 0.32, 0.34, 0.4], [0.3, 0.4, 0.5, 0.6]), EQUAL, HELD_OUT) == 1.0


def test_r28_the_scale_lies_towards_the_base_within_one_standard_error() -> None:
    """R28: of scales that noise cannot tell apart the smallest is taken."""
    assert choose_scale(scores([0.3, 0.35, 0.351, 0.352], [0.3, 0.5, 0.501, 0.502], noise=0.1), EQUAL, HELD_OUT) == 0.25


def test_r28_a_scale_that_spoils_held_out_queries_is_no_choice() -> None:
    """R28: however much repeated queries gain, held-out ones may not lose; without a safe scale the smallest counts."""
    assert choose_scale(scores([0.3, 0.31, 0.3, 0.25], [0.3, 0.4, 0.6, 0.9]), EQUAL, HELD_OUT) == 0.5
    assert choose_scale(scores([0.3, 0.2, 0.1, 0.0], [0.3, 0.4, 0.6, 0.9]), EQUAL, HELD_OUT) == 0.25


def test_weights_say_which_queries_count() -> None:
    """Without repeated searches only the held-out queries choose."""
    table = scores([0.3, 0.5, 0.4, 0.35], [0.3, 0.4, 0.6, 0.9])
    assert choose_scale(table, HELD_OUT.astype(float), HELD_OUT) == 0.25
    assert choose_scale(table, EQUAL, HELD_OUT) == 1.0


def test_weights_lie_on_the_line_between_both_models() -> None:
    """A quarter of the way is a quarter of the difference; both ends are the models' own bits."""
    base, trained = weights_of(layer(0.1, 0.2)), weights_of(layer(0.3, 1.0))
    moved = layer(0.0, 0.0)
    set_scaled(moved, base, trained, 0.25)
    assert moved.weight.tolist()[0] == pytest.approx([0.15, 0.4])
    for scale, expected in ((1.0, trained), (0.0, base)):
        set_scaled(moved, base, trained, scale)
        assert torch.equal(moved.weight, expected["weight"])


def test_the_mean_over_folds_is_that_of_each_weight() -> None:
    """Of two models each weight is the mean."""
    mean = mean_weights([weights_of(layer(0.0, 1.0)), weights_of(layer(1.0, 4.0))])
    assert mean["weight"].tolist() == [[0.5, 2.5]]


def test_a_copy_does_not_change_with_the_model() -> None:
    """Training after the copy leaves it as it was."""
    one = layer(1.0)
    kept = weights_of(one)
    one.weight.data.fill_(2.0)
    assert kept["weight"].item() == 1.0
