"""How well two models rank for the same queries, and whether the new one is promoted."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from clickstream.evaluations import Comparison, Evaluation, Gain, JudgedEvaluation, Metrics, Segment
from clickstream.split import MIN_HELD_OUT_QUERIES
from clickstream.training import metrics
from clickstream.training.dataset import Dataset, Example
from clickstream.training.model import embed

QUERIES_AT_ONCE = 256


class QueryScores(NamedTuple):
    """The metrics of one query, in the order of `Metrics`."""

    ndcg: float
    reciprocal_rank: float
    recall: float
    recall_at_100: float


def evaluate(
    encoder: SentenceTransformer, dataset: Dataset, items: Tensor, tick: Callable[[], None]
) -> list[QueryScores]:
    """Scores the held-out queries: see `score`."""
    return score(encoder, dataset.held_out, items, tick)


def score(
    encoder: SentenceTransformer, examples: Sequence[Example], items: Tensor, tick: Callable[[], None]
) -> list[QueryScores]:
    """Ranks every known text for every query by cosine, and scores it by the example's gains.

    Args:
        encoder: Encodes the queries.
        examples: What is measured.
        items: The same encoder's unit vectors of `Dataset.texts`, [N, D].
        tick: Called after every encoded chunk; what it raises passes through.
    """
    queries = embed(encoder, "query", [example.query for example in examples], tick)
    scores = []
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        cosines = queries[start : start + QUERIES_AT_ONCE] @ items.T
        best = torch.topk(cosines, min(metrics.DEEP_CUTOFF, len(items)), dim=1).indices.tolist()
        for example, ranking in zip(examples[start : start + QUERIES_AT_ONCE], best, strict=True):
            scores.append(
                QueryScores(
                    ndcg=metrics.ndcg(ranking, example.gains),
                    reciprocal_rank=metrics.reciprocal_rank(ranking, example.gains),
                    recall=metrics.recall(ranking, example.gains),
                    recall_at_100=metrics.recall(ranking, example.gains, metrics.DEEP_CUTOFF),
                )
            )
    return scores


def mean(scores: Sequence[QueryScores]) -> Metrics:
    """The metrics of a model: means over queries, 0 without any."""
    return Metrics(*np.mean(scores, axis=0).tolist()) if scores else Metrics(0.0, 0.0, 0.0, 0.0)


def compare(base: Sequence[QueryScores], new: Sequence[QueryScores], seed: int) -> Comparison:
    """Both models on the same queries, in the same order; all 0 without any."""
    gains = [Gain()] * len(QueryScores._fields)
    if base:
        differences = np.asarray(new) - np.asarray(base)
        bounds = metrics.bootstrap_intervals(differences, seed)
        gains = [Gain(*numbers) for numbers in zip(differences.mean(axis=0).tolist(), *bounds.tolist(), strict=True)]
    return Comparison(len(base), mean(base), mean(new), *gains)


def judge(
    base: Sequence[QueryScores],
    new: Sequence[QueryScores],
    seed: int,
    segments: Sequence[Segment] = (),
    judged: JudgedEvaluation | None = None,
) -> tuple[Evaluation, bool, str]:
    """Compares two models on the same held-out queries (R17).

    Returns:
        The evaluation, whether the new model is promoted, and the reason in words. Promoted means: there
        are `MIN_HELD_OUT_QUERIES` queries, the whole 95 % interval of the nDCG@10 gain lies above 0, and
        on no group of as many judged queries it lies below 0.
    """
    held_out = compare(base, new, seed)
    gain = held_out.ndcg_gain
    evaluation = Evaluation(
        held_out.base,
        held_out.new,
        gain.mean,
        gain.lower,
        gain.upper,
        held_out.mrr_gain,
        held_out.recall_gain,
        held_out.recall_at_100_gain,
        tuple(segments),
        judged,
    )
    count = held_out.query_count
    if count < MIN_HELD_OUT_QUERIES:
        reason = f"{count} held-out queries are too few to tell; at least {MIN_HELD_OUT_QUERIES} are needed"
        return evaluation, False, reason
    measured = _in_words(held_out, "held-out")
    if gain.upper < 0:
        return evaluation, False, f"worse beyond noise: {measured}"
    if gain.lower <= 0:
        return evaluation, False, f"not better beyond noise: {measured}"
    groups = ((judged.unsearched, "judged, never searched"), (judged.searched, "judged, searched")) if judged else ()
    for group, name in groups:
        if group.query_count >= MIN_HELD_OUT_QUERIES and group.ndcg_gain.upper < 0:
            worse = f"worse by the judgements: {_in_words(group, name)}"
            return evaluation, False, f"{worse}; by clicks better: {measured}"
    return evaluation, True, f"better beyond noise: {measured}"


def _in_words(compared: Comparison, kind: str) -> str:
    return (
        f"nDCG@10 {compared.base.ndcg_at_10:.4f} -> {compared.new.ndcg_at_10:.4f} "
        f"on {compared.query_count} {kind} queries, gain {compared.ndcg_gain}"
    )
