"""Losses over a batch of queries and candidate items."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

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


def graded_contrastive(queries: Tensor, items: Tensor, targets: Tensor, allowed: Tensor, temperature: float) -> Tensor:
    """Graded in-batch contrastive loss: each relevant item against the negatives, never against one another.

        loss(q) = - sum over d of target(q, d) * log(e^s(q, d) / (e^s(q, d) + sum over negatives n of e^s(q, n)))
        with s = cos / temperature; the negatives of q are what is allowed with target 0

    Source: InfoNCE (van den Oord et al., "Representation learning with contrastive predictive coding",
    2018) with in-batch negatives and several positives, each with a share of its own, as in Khosla et al.,
    "Supervised contrastive learning", NeurIPS 2020. Leaving likely relevant items out of the negatives:
    Qu et al., "RocketQA", NAACL 2021.

    Args, shapes and the result are those of `listwise_softmax`.
    """
    scores = queries @ items.T / temperature
    negatives = allowed & (targets == 0)
    against = scores.masked_fill(~negatives, float("-inf")).logsumexp(dim=1, keepdim=True)
    log_share = scores - torch.logaddexp(scores, against)
    return -(targets * log_share).sum(dim=1).mean()


LOSSES: Mapping[str, Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]] = {
    "listwise": listwise_softmax,
    "contrastive": graded_contrastive,
}
"""By the name in the settings."""


def base_shares(cosines: Tensor, allowed: Tensor, temperature: float) -> Tensor:
    """The base model's own ranking as targets, so that noise is believed less and less is forgotten.

        share(q, d) = softmax(base cos(q, d) / temperature)(d)

    Mixed into the clicks' targets, this is soft bootstrapping (Reed et al., "Training deep neural networks
    on noisy labels with bootstrapping", ICLR 2015 workshop), with the base model as the fixed teacher of Li
    and Hoiem, "Learning without forgetting", ECCV 2016.

    Args:
        cosines: Of the base model's vectors, [Q, N].
        allowed: Which items take part, boolean, [Q, N].
        temperature: Of the loss.

    Returns:
        [Q, N], each row summing to 1.
    """
    return (cosines / temperature).masked_fill(~allowed, float("-inf")).softmax(dim=1)


def targets_and_allowed(
    items: Sequence[int],
    grades: Sequence[Mapping[int, float]],
    unknown: Sequence[AbstractSet[int]],
    neighbours: Sequence[Sequence[Mapping[int, float]]],
) -> tuple[Tensor, Tensor]:
    """What each query of a batch should prefer, and which items it may be compared with.

    A query's own shown items take part by grade^`SHARPNESS`; items that were not shown for it are negatives.
    Left out, because they may well be relevant to it: its own items that probably nobody looked at; items
    shown for a near-equal query, unless shown for it too; and its own ungraded items that are graded for a
    near-equal query.

    Args:
        items: The N candidate items of the batch.
        grades: Per query, the grade of every item shown for it (not only of this batch's).
        unknown: Per query, those of them that were shown and probably not examined; without a grade.
        neighbours: Per query, the same of each near-equal training query, in the batch or not.

    Returns:
        targets [Q, N], each row summing to 1, and allowed [Q, N], on the CPU.
    """
    columns = {item: column for column, item in enumerate(items)}
    targets = torch.zeros(len(grades), len(items))
    allowed = torch.ones(len(grades), len(items), dtype=torch.bool)
    for row, (own, unseen, near) in enumerate(zip(grades, unknown, neighbours, strict=True)):
        for item in columns.keys() & unseen:
            allowed[row, columns[item]] = False
        for other in near:
            for item in columns.keys() & other.keys():
                if item not in own or (own[item] <= 0 < other[item]):
                    allowed[row, columns[item]] = False
        for item in columns.keys() & own.keys():
            targets[row, columns[item]] = own[item] ** SHARPNESS
    return targets / targets.sum(dim=1, keepdim=True), allowed
