"""Stopping when the model ranks no better for validation queries, and going back to the epoch that ranked best."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from clickstream.training.data.dataset import Dataset
from clickstream.training.encoder.encoder import embed
from clickstream.training.learning.adaptation import learnable
from clickstream.training.measuring import metrics


@dataclass(slots=True)
class EarlyStopping:
    """The best epoch so far, with its weights; part of the checkpoint."""

    patience: int
    """Epochs without a better score before training stops; 0: it never does, and nothing is kept."""
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
        """Takes up an epoch's score; its weights are kept if it is the best yet."""
        self.epochs += 1
        self.last_score = score
        if score > self.best_score:
            self.best_epoch, self.best_score = self.epochs, score
            self.best_weights = {name: each.detach().cpu().clone() for name, each in learnable(encoder).items()}

    def metrics(self) -> dict[str, float]:
        """What the last epoch scored, and which epoch, counted from 1, is the best so far."""
        return {"validation_ndcg_at_10": self.last_score, "validation_best_epoch": float(self.best_epoch)}

    def restore_best(self, encoder: torch.nn.Module) -> None:
        """Gives the encoder the best epoch's weights, if any are kept."""
        encoder.load_state_dict(self.best_weights, strict=False)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            name: getattr(self, name) for name in ("epochs", "best_epoch", "best_score", "last_score", "best_weights")
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up what a checkpoint kept."""
        for name, value in state.items():
            setattr(self, name, value)


def validation_score(encoder: SentenceTransformer, dataset: Dataset, tick: Callable[[], None]) -> float:
    """Mean nDCG@10 of the validation queries over the texts that were shown for any of them.

    To rank every known text, as the gate does, would encode the whole catalogue after every epoch.
    """
    candidates = sorted({text for example in dataset.validation for text in example.gains})
    items = embed(encoder, "item", [dataset.texts[text] for text in candidates], tick)
    queries = embed(encoder, "query", [example.query for example in dataset.validation], tick)
    best = torch.topk(queries @ items.T, min(metrics.CUTOFF, len(candidates)), dim=1).indices.tolist()
    scores = [
        metrics.ndcg([candidates[place] for place in ranking], example.gains)
        for example, ranking in zip(dataset.validation, best, strict=True)
    ]
    return math.fsum(scores) / len(scores)
