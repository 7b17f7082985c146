"""Losses over a batch of queries and candidate items."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

SHARPNESS = 2.0
"""Exponent of the grades: chance clicks are many and weak, and would otherwise take half of the target."""


def listwise_softmax(queries: Tensor, items: Tensor, targets: Tensor, allowed: Tensor, temperature: float) -> Tensor:
    """Graded listwise softmax cross-entropy: shown items and in-batch items compete for each query.

        loss(q) = - sum over d of target(q, d) * log softmax(cos(q, d) / temperature)(d)

    Source: ListNet's top-one probability (Cao et al., "Learning to rank: from pairwise approach to
    listwise approach", ICML 2007) with in-batch negatives (Karpukhin et al., "Dense passage retrieval",
    EMNLP 2020).

    Args:
        queries: Unit vectors, [Q, D].
        items: Unit vectors, [N, D].
        targets: Each row sums to 1; above 0 only where allowed, [Q, N].
        allowed: Which items take part for which query, boolean, [Q, N].
        temperature: Divides the cosines.

    Returns:
        Mean over the queries, a scalar.
    """
    scores = (queries @ items.T / temperature).masked_fill(~allowed, float("-inf"))
    log_share = scores.log_softmax(dim=1).masked_fill(~allowed, 0.0)
    return -(targets * log_share).sum(dim=1).mean()


def with_base_shares(targets: Tensor, cosines: Tensor, allowed: Tensor, temperature: float, weight: float) -> Tensor:
    """Mixes the base model's own ranking into the targets, so that noise is believed less and less is forgotten.

        mixed(q, d) = (1 - weight) * target(q, d) + weight * softmax(base cos(q, d) / temperature)(d)

    Source: soft bootstrapping (Reed et al., "Training deep neural networks on noisy labels with
    bootstrapping", ICLR 2015 workshop), with the base model as the fixed teacher of Li and Hoiem,
    "Learning without forgetting", ECCV 2016.

    Args:
        targets: Each row sums to 1, [Q, N].
        cosines: Of the base model's vectors, [Q, N].
        allowed: Which items take part, boolean, [Q, N].
        temperature: Of the loss.
        weight: 0 to 1.

    Returns:
        [Q, N], each row summing to 1.
    """
    base = (cosines / temperature).masked_fill(~allowed, float("-inf")).softmax(dim=1)
    return (1 - weight) * targets + weight * base


def targets_and_allowed(
    items: Sequence[int], grades: Sequence[Mapping[int, float]], neighbours: Sequence[Sequence[Mapping[int, float]]]
) -> tuple[Tensor, Tensor]:
    """What each query of a batch should prefer, and which items it may be compared with.

    A query's own shown items take part by grade^`SHARPNESS`; items that were not shown for it are negatives.
    Left out, because they may well be relevant to it: items shown for a near-equal query, unless shown
    for it too; and its own ungraded items that are graded for a near-equal query.

    Args:
        items: The N candidate items of the batch.
        grades: Per query, the grade of every item shown for it (not only of this batch's).
        neighbours: Per query, the same of each near-equal training query, in the batch or not.

    Returns:
        targets [Q, N], each row summing to 1, and allowed [Q, N], on the CPU.
    """
    columns = {item: column for column, item in enumerate(items)}
    targets = torch.zeros(len(grades), len(items))
    allowed = torch.ones(len(grades), len(items), dtype=torch.bool)
    for row, (own, near) in enumerate(zip(grades, neighbours, strict=True)):
        for other in near:
            for item in columns.keys() & other.keys():
                if item not in own or (own[item] <= 0 < other[item]):
                    allowed[row, columns[item]] = False
        for item in columns.keys() & own.keys():
            targets[row, columns[item]] = own[item] ** SHARPNESS
    return targets / targets.sum(dim=1, keepdim=True), allowed
