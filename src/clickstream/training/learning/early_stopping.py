"""Stops training when validation queries rank no better, and returns to the epoch that ranked them best."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from clickstream.training.data.examples import Example
from clickstream.training.encoder.encoder import embed
from clickstream.training.learning.adaptation import learnable
from clickstream.training.measuring.ranking import mean, score


@dataclass(slots=True)
class EarlyStopping:
    """The best epoch so far, with its weights; part of the checkpoint.

    `patience` is the number of epochs without a better score after which training stops; with 0 it never stops early,
    and no weights are kept.
    """

    patience: int
    epochs: int = 0
    best_epoch: int = 0
    best_score: float = -math.inf
    last_score: float = -math.inf
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    @property
    def is_due(self) -> bool:
        """Whether training is over."""
        return self.patience > 0 and self.epochs - self.best_epoch >= self.patience

    def after_epoch(self, score: float, encoder: torch.nn.Module) -> None:
        """Records an epoch's score, and keeps a copy of the weights if it is the best so far."""
        self.epochs += 1
        self.last_score = score
        if score > self.best_score:
            self.best_epoch, self.best_score = self.epochs, score
            self.best_weights = {name: each.detach().cpu().clone() for name, each in learnable(encoder).items()}

    def metrics(self) -> dict[str, float]:
        """The last epoch's score, and the number, from 1, of the best epoch so far, by the names of the metrics."""
        return {"validation_ndcg_at_10": self.last_score, "validation_best_epoch": float(self.best_epoch)}

    def restore_best(self, encoder: torch.nn.Module) -> None:
        """Sets the encoder's weights to those of the best epoch, if any were kept."""
        encoder.load_state_dict(self.best_weights, strict=False)

    def state(self) -> dict[str, Any]:
        """The state that a checkpoint saves."""
        return {
            name: getattr(self, name) for name in ("epochs", "best_epoch", "best_score", "last_score", "best_weights")
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Restores the state from a checkpoint."""
        for name, value in state.items():
            setattr(self, name, value)


def validation_score(
    encoder: SentenceTransformer, examples: Sequence[Example], texts: Sequence[str], tick: Callable[[], None]
) -> float:
    """Mean nDCG@10 of the validation queries over the texts that were shown for any of them.

    The gate ranks every known text instead; here that would encode the whole catalogue after every epoch.
    """
    candidates = sorted({text for example in examples for text in example.gains})
    items = embed(encoder, "item", [texts[text] for text in candidates], tick)
    return mean(score(encoder, examples, items, tick, candidates)).ndcg_at_10
