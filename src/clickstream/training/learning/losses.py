"""Losses over a step's queries and candidate items, and the labels that they aim at."""

import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import torch
from torch import Tensor

from clickstream.training.data.examples import Evidence

# Exponent of the targets in `graded_contrastive`: acts by chance are many and weak, and otherwise are half of the loss.
SHARPNESS = 2.0

# The share of a query's acts that is taken as chance: it falls on whatever was looked at, relevant or not.
CHANCE_SHARE = 0.2

# Added to every count of looks: an item may have an act although, by the correction, it was never looked at.
LEAST_LOOKS = 0.05


class StepLabels(NamedTuple):
    """What the log says about a step's Q queries and N items; every tensor is [Q, N].

    `acts` are each query's acts by item, as shares. `looks` is how often each item was examined for the query; an
    item that was not shown for it gets the mean of those that were. `targets` are the targets of the items' labels to
    the power of `SHARPNESS`, as shares. `allowed` is true for items that take part in the query's loss. Rows of acts
    and targets sum to 1, and are above 0 only where `allowed` is true.
    """

    acts: Tensor
    looks: Tensor
    targets: Tensor
    allowed: Tensor

    def to(self, device: torch.device) -> "StepLabels":
        """Copies the labels to a device."""
        return StepLabels(*(each.to(device) for each in self))


def listwise_softmax(queries: Tensor, items: Tensor, labels: StepLabels, temperature: float) -> Tensor:
    """Listwise softmax over shown and in-batch items, weighted by how often each was looked at.

        loss(q) = - sum over d of acts(q, d) * log((1 - c) share(q, d) + c looks(q, d) / sum over n of looks(q, n))
        share(q, d) = looks(q, d) e^s(q, d) / sum over n of looks(q, n) e^s(q, n)
        with s = cos / temperature and c = CHANCE_SHARE

    It is the likelihood of the items on which a query's acts fell, if those on d are Poisson with mean
    proportional to looks(q, d) e^s(q, d), and some fall by chance. So an item that was seldom looked at neither rises
    nor falls much, without any division by a small probability and without clipping, and an act on an item that
    everything speaks against is hardly learned.

    Source: ListNet's top-one probability (Cao et al., "Learning to rank: from pairwise approach to listwise
    approach", ICML 2007) with in-batch negatives (Karpukhin et al., "Dense passage retrieval", EMNLP 2020);
    position bias added to the score as in additive two-tower models (Yan et al., "Revisiting two tower models
    for unbiased learning to rank", SIGIR 2022), here known beforehand; Poisson acts given their sum: Baker,
    "The multinomial-Poisson transformation", The Statistician 1994; clicks that are noise as a component of
    their own, as in the trust-bias model of Agarwal et al., "Addressing trust bias for unbiased
    learning-to-rank", WWW 2019, and in mixtures for noisy labels (Reed et al., ICLR 2015 workshop).

    Args:
        queries: Unit vectors, [Q, D].
        items: Unit vectors, [N, D].
        labels: The labels of these queries and items.
        temperature: Divides the cosines.

    Returns:
        One loss per query, [Q].
    """
    looks = (labels.looks + LEAST_LOOKS).masked_fill(~labels.allowed, 0.0)
    by_chance = looks / looks.sum(dim=1, keepdim=True)
    scores = queries @ items.T / temperature + looks.log()
    mixed = (1 - CHANCE_SHARE) * scores.softmax(dim=1) + CHANCE_SHARE * by_chance
    # Items that take no part have no acts; the 1 keeps log(0) out of the gradient.
    return -(labels.acts * mixed.masked_fill(~labels.allowed, 1.0).log()).sum(dim=1)


def graded_contrastive(queries: Tensor, items: Tensor, labels: StepLabels, temperature: float) -> Tensor:
    """Graded in-batch contrastive loss: each relevant item against the negatives, never against other relevant items.

        loss(q) = - sum over d of target(q, d) * log(e^s(q, d) / (e^s(q, d) + sum over negatives n of e^s(q, n)))
        with s = cos / temperature; the negatives of q are the allowed items with target 0

    Source: InfoNCE (van den Oord et al., "Representation learning with contrastive predictive coding",
    2018) with in-batch negatives and several positives, each with a share of its own, as in Khosla et al.,
    "Supervised contrastive learning", NeurIPS 2020. Leaving likely relevant items out of the negatives:
    Qu et al., "RocketQA", NAACL 2021.

    Args:
        queries: Unit vectors, [Q, D].
        items: Unit vectors, [N, D].
        labels: The labels of these queries and items.
        temperature: Divides the cosines.

    Returns:
        One loss per query, [Q].
    """
    scores = queries @ items.T / temperature
    negatives = labels.allowed & (labels.targets == 0)
    against = scores.masked_fill(~negatives, float("-inf")).logsumexp(dim=1, keepdim=True)
    log_share = scores - torch.logaddexp(scores, against)
    return -(labels.targets * log_share).sum(dim=1)


# By the name in the settings.
LOSSES: Mapping[str, Callable[[Tensor, Tensor, StepLabels, float], Tensor]] = {
    "listwise": listwise_softmax,
    "contrastive": graded_contrastive,
}


def cross_entropy(scores: Tensor, shares: Tensor, allowed: Tensor) -> Tensor:
    """Cross entropy, [Q], of the softmax over the allowed items against shares that sum to 1 there; all are [Q, N]."""
    log_share = scores.masked_fill(~allowed, float("-inf")).log_softmax(dim=1).masked_fill(~allowed, 0.0)
    return -(shares * log_share).sum(dim=1)


def base_shares(cosines: Tensor, allowed: Tensor, temperature: float) -> Tensor:
    """Turns the base model's own ranking into targets, so that less noise is learned and less is forgotten.

        share(q, d) = softmax(base cos(q, d) / temperature)(d)

    Mixed into the clicks' targets, this is soft bootstrapping (Reed et al., "Training deep neural networks
    on noisy labels with bootstrapping", ICLR 2015 workshop), with the base model as the fixed teacher of Li
    and Hoiem, "Learning without forgetting", ECCV 2016.

    Args:
        cosines: The cosines of the base model's vectors, [Q, N].
        allowed: Which items take part, boolean, [Q, N].
        temperature: The temperature of the loss.

    Returns:
        [Q, N], each row summing to 1.
    """
    return (cosines / temperature).masked_fill(~allowed, float("-inf")).softmax(dim=1)


def labels_of(
    items: Sequence[int],
    evidence: Sequence[Mapping[int, Evidence]],
    unknown: Sequence[AbstractSet[int]],
    neighbours: Sequence[Sequence[Mapping[int, Evidence]]],
) -> StepLabels:
    """Labels the items of a step for each of its queries.

    Items that were not shown for a query are negatives. Three kinds of items are left out, because they may well be
    relevant: the query's own items that were probably never examined; items that were shown for a near-equal query
    but not for this one; and the query's own items without an act that were acted on for a near-equal query.

    Args:
        items: The N candidate items of the step.
        evidence: For each query, the evidence of every item shown for it, not only of those in the step; not empty.
        unknown: For each query, its items that were shown and probably never examined; they have no act.
        neighbours: For each query, the evidence of each near-equal training query, in the step or not.

    Returns:
        The labels, on the CPU.
    """
    columns = {item: column for column, item in enumerate(items)}
    acts, looks, targets = (torch.zeros(len(evidence), len(items)) for _ in range(3))
    allowed = torch.ones(len(evidence), len(items), dtype=torch.bool)
    for row, (own, unseen, near) in enumerate(zip(evidence, unknown, neighbours, strict=True)):
        for item in columns.keys() & unseen:
            allowed[row, columns[item]] = False
        for other in near:
            for item in columns.keys() & other.keys():
                if item not in own or (own[item].acts <= 0 < other[item].acts):
                    allowed[row, columns[item]] = False
        looks[row] = math.fsum(each.looks for each in own.values()) / len(own)
        for item in columns.keys() & own.keys():
            acts[row, columns[item]] = own[item].acts
            looks[row, columns[item]] = own[item].looks
            targets[row, columns[item]] = own[item].target ** SHARPNESS
    return StepLabels(acts / acts.sum(dim=1, keepdim=True), looks, targets / targets.sum(dim=1, keepdim=True), allowed)
