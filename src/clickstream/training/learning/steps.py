"""Makes the optimizer's steps: which queries and items enter each step, and how the items are labelled."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clickstream.training.asking import may_go_on
from clickstream.training.data.examples import Example
from clickstream.training.learning.losses import LEAST_LOOKS, StepLabels, labels_of

# Shown items of a query that enter a step: the best half by target, the rest drawn by looks in every epoch.
# Items that are unknown for the query are not drawn: they would be encoded only to be left out.
ITEMS_PER_QUERY = 8

# From this cosine of the base model's vectors on, two queries count as asking for the same.
NEAR_EQUAL = 0.9

# Queries that are compared with all others at once; it bounds memory.
QUERIES_AT_ONCE = 1_024


@dataclass(frozen=True, slots=True)
class Step:
    """The indices of Q queries and N items, their labels, [Q, N], and the number of acts of each query, [Q]."""

    queries: list[int]
    items: list[int]
    labels: StepLabels
    acts: Tensor


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of a run. Each depends on the seed and its number only, so a resumed run makes the same steps.

    `neighbours` are the indices of the near-equal queries of each example.
    """

    examples: Sequence[Example]
    neighbours: Sequence[Sequence[int]]
    queries_per_step: int
    seed: int

    @property
    def per_epoch(self) -> int:
        """The number of steps in which every query occurs once."""
        return math.ceil(len(self.examples) / self.queries_per_step)

    def make(self, number: int) -> Step:
        """Makes the step of a number, counted from 0; every epoch has its own order of queries."""
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
    """Draws up to `ITEMS_PER_QUERY` of a query's items: the best half by target, the others at random by their looks.

    Items that were looked at most weigh most in the listwise loss. Drawing by weight without replacement: Efraimidis
    and Spirakis, "Weighted random sampling with a reservoir", Information Processing Letters 2006.
    """
    known = example.evidence.keys() - example.unknown
    by_target = sorted(known, key=lambda item: (-example.evidence[item].target, item))
    best = [item for item in by_target[: ITEMS_PER_QUERY // 2] if example.evidence[item].acts > 0]
    rest = by_target[len(best) :]
    places = {item: source.random() ** (1 / (example.evidence[item].looks + LEAST_LOOKS)) for item in rest}
    return best + sorted(rest, key=lambda item: (-places[item], item))[: ITEMS_PER_QUERY - len(best)]


def near_equal_queries(queries: Tensor) -> list[list[int]]:
    """Lists for each query the others whose cosine is at least `NEAR_EQUAL`, given their unit vectors, [Q, D]."""
    near: list[list[int]] = []
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        may_go_on()
        close = queries[start : start + QUERIES_AT_ONCE] @ queries.T >= NEAR_EQUAL
        near += [
            [other for other in row.nonzero().flatten().tolist() if other != start + offset]
            for offset, row in enumerate(close)
        ]
    return near
