"""Scores how well a model ranks for each query, and compares two models by that."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from clickstream.domain.evaluations import Comparison, Gain, Metrics
from clickstream.training.asking import may_go_on
from clickstream.training.data.examples import Example
from clickstream.training.encoder.encoder import embed
from clickstream.training.measuring import metrics

# Queries whose rankings are computed at once; it bounds memory.
QUERIES_AT_ONCE = 256


class QueryScores(NamedTuple):
    """The metrics of one query, in the order of `Metrics`."""

    ndcg: float
    reciprocal_rank: float
    recall: float
    recall_at_100: float


def score(
    encoder: SentenceTransformer,
    examples: Sequence[Example],
    items: Tensor,
    tick: Callable[[], None],
    candidates: Sequence[int] | None = None,
) -> list[QueryScores]:
    """Ranks the candidates for every query by cosine, and scores the ranking by the example's gains.

    Args:
        encoder: Encodes the queries.
        examples: The queries to score, each with the gains of its texts.
        items: The same encoder's unit vectors of the candidates, [N, D].
        tick: Called after every encoded chunk; what it raises passes through.
        candidates: The index into `Dataset.texts` of each row of `items`, [N]; None: all texts in order.
    """
    queries = embed(encoder, "query", [example.query for example in examples], tick)
    scores = []
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        may_go_on()
        cosines = queries[start : start + QUERIES_AT_ONCE] @ items.T
        best = torch.topk(cosines, min(metrics.DEEP_CUTOFF, len(items)), dim=1).indices.tolist()
        if candidates is not None:
            best = [[candidates[place] for place in ranking] for ranking in best]
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
    """The means over all queries; 0 without queries."""
    return Metrics(*np.mean(scores, axis=0).tolist()) if scores else Metrics(0.0, 0.0, 0.0, 0.0)


def compare_scores(base: Sequence[QueryScores], new: Sequence[QueryScores], seed: int) -> Comparison:
    """Compares two models by their scores of the same queries, in the same order; all 0 without queries.

    The same scores and seed give the same intervals.
    """
    gains = [Gain()] * len(QueryScores._fields)
    if base:
        differences = np.asarray(new) - np.asarray(base)
        bounds = metrics.bootstrap_intervals(differences, seed)
        gains = [Gain(*numbers) for numbers in zip(differences.mean(axis=0).tolist(), *bounds.tolist(), strict=True)]
    return Comparison(len(base), mean(base), mean(new), *gains)
