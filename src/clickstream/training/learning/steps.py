"""What enters an optimizer step: which queries, which items, and what each query should prefer."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clickstream.training.data.dataset import Example
from clickstream.training.learning.losses import LEAST_LOOKS, Labels, labels_of

ITEMS_PER_QUERY = 8
"""Shown items of a query that enter a step: the best half by target, the rest drawn by looks in every epoch.

What is unknown for the query is not drawn: it would be encoded to be left out."""

NEAR_EQUAL = 0.9
"""Cosine of the base model's vectors from which two queries count as asking for the same."""


@dataclass(frozen=True, slots=True)
class Step:
    """Indices of Q queries and N items, what the log says of them, and how many acts each query has, [Q]."""

    queries: list[int]
    items: list[int]
    labels: Labels
    acts: Tensor


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of a run. Each is a function of the seed and its number, so that a resumed run goes on exactly."""

    examples: Sequence[Example]
    neighbours: Sequence[Sequence[int]]
    queries_per_step: int
    seed: int

    @property
    def per_epoch(self) -> int:
        """Steps in which every query has its turn once."""
        return math.ceil(len(self.examples) / self.queries_per_step)

    def make(self, number: int) -> Step:
        """The step of this number, 0-based; every epoch has its own order."""
        epoch, place = divmod(number, self.per_epoch)
        order = list(range(len(self.examples)))
        random.Random(f"{self.seed} {epoch}").shuffle(order)
        queries = order[place * self.queries_per_step : (place + 1) * self.queries_per_step]
        drawn = [draw_items(self.examples[q], random.Random(f"{self.seed} {epoch} {q}")) for q in queries]
        items = sorted({item for row in drawn for item in row})
        evidence = [self.examples[query].evidence for query in queries]
        labels = labels_of(
            items,
            evidence,
            [self.examples[query].unknown for query in queries],
            [[self.examples[other].evidence for other in self.neighbours[query]] for query in queries],
        )
        acts = torch.tensor([math.fsum(each.acts for each in own.values()) for own in evidence])
        return Step(queries, items, labels, acts)


def draw_items(example: Example, source: random.Random) -> list[int]:
    """Up to `ITEMS_PER_QUERY` of the query's items: the best half by target, the others with a chance by their looks.

    What was looked at most weighs most in the listwise loss. Drawing by weight without replacement: Efraimidis
    and Spirakis, "Weighted random sampling with a reservoir", Information Processing Letters 2006.
    """
    known = example.evidence.keys() - example.unknown
    by_target = sorted(known, key=lambda item: (-example.evidence[item].target, item))
    best = [item for item in by_target[: ITEMS_PER_QUERY // 2] if example.evidence[item].acts > 0]
    rest = by_target[len(best) :]
    places = {item: source.random() ** (1 / (example.evidence[item].looks + LEAST_LOOKS)) for item in rest}
    return best + sorted(rest, key=lambda item: (-places[item], item))[: ITEMS_PER_QUERY - len(best)]


def near_equal_queries(queries: Tensor) -> list[list[int]]:
    """Per query, the others whose cosine is at least `NEAR_EQUAL`; unit vectors, [Q, D]."""
    near: list[list[int]] = []
    for start in range(0, len(queries), 1_024):
        close = queries[start : start + 1_024] @ queries.T >= NEAR_EQUAL
        near += [
            [other for other in row.nonzero().flatten().tolist() if other != start + offset]
            for offset, row in enumerate(close)
        ]
    return near
