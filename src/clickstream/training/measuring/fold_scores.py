"""Measures the trained folds: how far to go from the base model, and how the models rank then.

A query never judges a model that was trained on it, and never chooses the step scale with which it is measured: the
scale of each group of queries is chosen by the other groups. With several folds the groups are the folds' own
queries; one fold has two halves.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from torch import Tensor

from clickstream.domain.evaluations import StepScale
from clickstream.domain.query_split import MIN_HELD_OUT_QUERIES, normalised
from clickstream.training.data.dataset import Dataset
from clickstream.training.data.examples import Example
from clickstream.training.data.folds import Fold
from clickstream.training.encoder.encoder import embed
from clickstream.training.learning.step_scale import SCALES, Weights, choose_scale, set_scaled
from clickstream.training.measuring import metrics
from clickstream.training.measuring.gate import Scored
from clickstream.training.measuring.ranking import QueryScores, score

# Held-out queries, and repeated ones, of each group by which the scale of the others is chosen: more cost time only.
CHOICE_QUERIES = 100

# A scale is chosen by ranking at least this many texts, if there are as many, and all that the queries showed.
CHOICE_TEXTS = 500


class Part(NamedTuple):
    """Queries of one fold that never choose their own scale."""

    fold: int
    held_out: Sequence[Example]
    repeated: Sequence[Example]

    @property
    def examples(self) -> list[Example]:
        """All queries that are measured, held-out ones first."""
        return [*self.held_out, *self.repeated]


def parts_of(folds: Sequence[Fold]) -> list[Part]:
    """The groups of queries that are measured together, in the order of the folds."""
    if len(folds) > 1:
        return [Part(number, fold.held_out, fold.repeated) for number, fold in enumerate(folds)]
    fold = folds[0]
    return [Part(0, fold.held_out[half::2], fold.repeated[half::2]) for half in (0, 1)]


def as_measured(folds: Sequence[Fold]) -> list[Fold]:
    """The folds with the held-out queries of each part, in the order of `parts_of`: one fold becomes two."""
    return [replace(folds[part.fold], held_out=list(part.held_out)) for part in parts_of(folds)]


# The scores of each part's examples.
PartScores = Sequence[tuple[Part, Sequence[QueryScores]]]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The scale for each part, the one for the new model, and the mean scores that led to it."""

    by_part: Sequence[float]
    whole: float
    figures: tuple[StepScale, ...] = ()


@dataclass(frozen=True, slots=True)
class Measuring:
    """The models of a run and what they are measured on. `encoder` is any encoder of their kind; its weights change."""

    encoder: SentenceTransformer
    dataset: Dataset
    base: Weights
    trained: Sequence[Weights]
    tick: Callable[[], None]

    def choose(self, setting: float, base_items: Tensor) -> Chosen:
        """Chooses how far to go; `setting` itself if it is above 0.

        Args:
            setting: `FineTuningSettings.step_scale`.
            base_items: The base model's unit vectors of all texts, [N, D].
        """
        parts = parts_of(self.dataset.folds)
        if setting:
            return Chosen([setting] * len(parts), setting)
        limited = [Part(fold, own[:CHOICE_QUERIES], again[:CHOICE_QUERIES]) for fold, own, again in parts]
        candidates = [self._candidates(part) for part in limited]
        scores = [np.zeros((len(part.examples), 1 + len(SCALES))) for part in limited]
        set_scaled(self.encoder, self.base, self.base, 1)
        for part, texts, table in zip(limited, candidates, scores, strict=True):
            table[:, 0] = self._ndcg(part, base_items[texts], texts)
            for place, scale in enumerate(SCALES, 1):
                set_scaled(self.encoder, self.base, self.trained[part.fold], scale)
                items = embed(self.encoder, "item", [self.dataset.texts[each] for each in texts], self.tick)
                table[:, place] = self._ndcg(part, items, texts)
                set_scaled(self.encoder, self.base, self.base, 1)
        share = self.dataset.repeated_share.share
        by_part = [
            _choose(
                [part for at, part in enumerate(limited) if at != own],
                [t for at, t in enumerate(scores) if at != own],
                share,
            )
            for own in range(len(parts))
        ]
        # The mean of K models has 1 / sqrt(K) of the noise of one: it goes as far as one model with the same noise.
        whole = min(1.0, _choose(limited, scores, share) * math.sqrt(len(self.trained)))
        return Chosen(by_part, whole, _figures(limited, scores))

    def scores(self, chosen: Chosen) -> list[tuple[Part, list[QueryScores]]]:
        """The scores of each part's examples by the model of its fold, over all texts."""
        measured = []
        vectors: dict[tuple[int, float], Tensor] = {}
        for part, scale in zip(parts_of(self.dataset.folds), chosen.by_part, strict=True):
            set_scaled(self.encoder, self.base, self.trained[part.fold], scale)
            if (part.fold, scale) not in vectors:
                vectors = {(part.fold, scale): embed(self.encoder, "item", self.dataset.texts, self.tick)}
            measured.append((part, score(self.encoder, part.examples, vectors[part.fold, scale], self.tick)))
        return measured

    def _ndcg(self, part: Part, items: Tensor, candidates: Sequence[int]) -> list[float]:
        """nDCG@10 of held-out queries over all candidates, and of repeated ones over the items that they showed.

        Training moves items that no list showed towards repeated queries. Counted as irrelevant, they would make every
        step look too far.
        """
        held_out = [each.ndcg for each in score(self.encoder, part.held_out, items, self.tick, candidates)]
        places = {text: place for place, text in enumerate(candidates)}
        queries = embed(self.encoder, "query", [example.query for example in part.repeated], self.tick)
        repeated = []
        for query, example in zip(queries, part.repeated, strict=True):
            shown = list(example.gains)
            order = (items[[places[text] for text in shown]] @ query).argsort(descending=True, stable=True).tolist()
            repeated.append(metrics.ndcg([shown[place] for place in order], example.gains))
        return held_out + repeated

    def _candidates(self, part: Part) -> list[int]:
        """All texts that the queries showed, and others at equal distances, in order."""
        count = len(self.dataset.texts)
        shown = {text for example in part.examples for text in example.gains}
        return sorted(shown.union(range(0, count, math.ceil(count / CHOICE_TEXTS))))


def _is_held_out(parts: Sequence[Part]) -> NDArray[np.bool_]:
    return np.concatenate([np.arange(len(part.examples)) < len(part.held_out) for part in parts])


def _choose(parts: Sequence[Part], scores: Sequence[NDArray[np.float64]], share: float) -> float:
    """The scale by some parts. Repeated queries count by their share of the searches, held-out ones by the rest."""
    table, held_out = np.concatenate(scores), _is_held_out(parts)
    own, again = int(held_out.sum()), int((~held_out).sum())
    if again < MIN_HELD_OUT_QUERIES:
        share = 0.0
    if own < MIN_HELD_OUT_QUERIES:
        return SCALES[0]
    weights = np.where(held_out, (1 - share) / own, share / max(again, 1))
    return choose_scale(table, weights, held_out)


def _figures(parts: Sequence[Part], scores: Sequence[NDArray[np.float64]]) -> tuple[StepScale, ...]:
    table, held_out = np.concatenate(scores), _is_held_out(parts)
    means = [[float(column[of].mean()) if of.any() else 0.0 for of in (held_out, ~held_out)] for column in table.T]
    return tuple(StepScale(scale, *mean) for scale, mean in zip((0.0, *SCALES), means, strict=True))


def scored(base: PartScores, new: PartScores) -> tuple[Scored, Scored]:
    """Both models' scores of the held-out queries, and of the repeated ones; of several folds a query has the mean."""
    own: dict[str, list[tuple[QueryScores, QueryScores]]] = {}
    again: dict[str, list[tuple[QueryScores, QueryScores]]] = {}
    for (part, before), (_, after) in zip(base, new, strict=True):
        for place, (example, pair) in enumerate(zip(part.examples, zip(before, after, strict=True), strict=True)):
            group = own if place < len(part.held_out) else again
            group.setdefault(normalised(example.query), []).append(pair)
    return _means(own), _means(again)


def _means(pairs: dict[str, list[tuple[QueryScores, QueryScores]]]) -> Scored:
    means = [np.asarray(each, dtype=np.float64).mean(axis=0).tolist() for each in pairs.values()]
    return Scored(list(pairs), *([QueryScores(*mean[model]) for mean in means] for model in (0, 1)))
