"""How well a model ranks for held-out queries, and whether a new model is promoted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from clickstream.runs import Evaluation, Metrics
from clickstream.training import metrics
from clickstream.training.dataset import Dataset
from clickstream.training.model import embed

MIN_HELD_OUT_QUERIES = 10
QUERIES_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class QueryScores:
    """The metrics at 10 of one held-out query."""

    ndcg: float
    reciprocal_rank: float
    recall: float


def evaluate(
    encoder: SentenceTransformer, dataset: Dataset, items: Tensor, tick: Callable[[], None]
) -> list[QueryScores]:
    """Ranks every known text for every held-out query by cosine, and scores it by its gains.

    Args:
        encoder: Encodes the queries.
        dataset: Its held-out part is measured.
        items: The same encoder's unit vectors of `dataset.texts`, [N, D].
        tick: Called after every encoded chunk; what it raises passes through.
    """
    queries = embed(encoder, "query", [example.query for example in dataset.held_out], tick)
    scores = []
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        cosines = queries[start : start + QUERIES_AT_ONCE] @ items.T
        best = torch.topk(cosines, min(metrics.CUTOFF, len(items)), dim=1).indices.tolist()
        for example, ranking in zip(dataset.held_out[start : start + QUERIES_AT_ONCE], best, strict=True):
            scores.append(
                QueryScores(
                    ndcg=metrics.ndcg(ranking, example.gains),
                    reciprocal_rank=metrics.reciprocal_rank(ranking, example.gains),
                    recall=metrics.recall(ranking, example.gains),
                )
            )
    return scores


def judge(base: Sequence[QueryScores], new: Sequence[QueryScores], seed: int) -> tuple[Evaluation, bool, str]:
    """Compares two models on the same held-out queries (R17).

    Returns:
        The evaluation, whether the new model is promoted, and the reason in words. Promoted means: there
        are `MIN_HELD_OUT_QUERIES` queries, and the whole 95 % interval of the nDCG@10 gain lies above 0.
    """
    gains = [after.ndcg - before.ndcg for before, after in zip(base, new, strict=True)]
    count = len(gains)
    gain = sum(gains) / count if gains else 0.0
    lower, upper = metrics.bootstrap_interval(gains, seed) if gains else (0.0, 0.0)
    evaluation = Evaluation(mean(base), mean(new), gain, lower, upper)
    if count < MIN_HELD_OUT_QUERIES:
        return (
            evaluation,
            False,
            f"{count} held-out queries are too few to tell; at least {MIN_HELD_OUT_QUERIES} are needed",
        )
    measured = (
        f"nDCG@10 {evaluation.base.ndcg_at_10:.4f} -> {evaluation.new.ndcg_at_10:.4f} on {count} held-out queries, "
        f"gain {gain:+.4f}, 95 % interval {lower:+.4f} to {upper:+.4f}"
    )
    if lower > 0:
        return evaluation, True, f"better beyond noise: {measured}"
    return evaluation, False, f"{'worse' if upper < 0 else 'not better'} beyond noise: {measured}"


def mean(scores: Sequence[QueryScores]) -> Metrics:
    """The metrics of a model: means over queries, 0 without any."""
    count = max(1, len(scores))
    return Metrics(
        ndcg_at_10=sum(score.ndcg for score in scores) / count,
        mrr_at_10=sum(score.reciprocal_rank for score in scores) / count,
        recall_at_10=sum(score.recall for score in scores) / count,
    )
