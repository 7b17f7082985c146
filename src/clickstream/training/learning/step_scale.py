"""Goes only part of the way from the base model to the trained weights, where going further does not rank better.

Training improves the searches that were made, and may spoil those that were not. On the straight line between both
models, the first steps gain most of the one and lose little of the other. Source: Wortsman et al., "Robust
fine-tuning of zero-shot models", CVPR 2022; the mean over folds is that of Wortsman et al., "Model soups", ICML 2022.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# The shares of the way that are compared; the smallest first.
SCALES = (0.25, 0.5, 1.0)

# How much held-out queries may lose in nDCG@10 on the mean; beyond it the step is too far.
MOST_LOST = 0.005

Weights = Mapping[str, Tensor]


def weights_of(encoder: torch.nn.Module) -> Weights:
    """A copy of an encoder's weights on the CPU, by name, without whole numbers: no training changes these."""
    return {
        name: each.detach().cpu().clone() for name, each in encoder.state_dict().items() if each.is_floating_point()
    }


def mean_weights(models: Sequence[Weights]) -> Weights:
    """The mean of each weight over models of the same architecture."""
    return {name: torch.stack([model[name] for model in models]).mean(dim=0) for name in models[0]}


def set_scaled(encoder: torch.nn.Module, base: Weights, trained: Weights, scale: float) -> None:
    """Sets an encoder's weights to base + scale * (trained - base)."""
    # At both ends the bits of the models themselves, not those of a sum.
    whole = trained if scale == 1 else {name: torch.lerp(each, trained[name], scale) for name, each in base.items()}
    encoder.load_state_dict(whole, strict=False)


def choose_scale(scores: NDArray[np.float64], weights: NDArray[np.float64], held_out: NDArray[np.bool_]) -> float:
    """The smallest of `SCALES` that the best one does not beat by more than one standard error.

    Only scales with which held-out queries lose at most `MOST_LOST`, or no more than that beyond one standard error,
    are compared; if there is none, the smallest counts. Source for one standard error: Breiman et al.,
    "Classification and Regression Trees", 1984, section 3.4.3.

    Args:
        scores: nDCG@10 of each measurement with the base model and with each scale, [Q, 1 + len(SCALES)].
        weights: How much each measurement counts, [Q]; not all 0.
        held_out: Which measurements are those of held-out queries, [Q]; at least one is.
    """
    shares = weights / weights.sum()
    lost = scores[held_out, :1] - scores[held_out]
    least = lost.mean(axis=0) - lost.std(axis=0) / np.sqrt(len(lost))
    safe = [place for place in range(1, 1 + len(SCALES)) if least[place] <= MOST_LOST]
    if not safe:
        return SCALES[0]
    best = max(safe, key=lambda place: float(shares @ scores[:, place]))
    for place in safe:
        behind = scores[:, best] - scores[:, place]
        mean = float(shares @ behind)
        if mean <= float(np.sqrt(np.sum((shares * (behind - mean)) ** 2))):
            return SCALES[place - 1]
    raise AssertionError("the best is not behind itself")
