from pathlib import Path

import pytest
import torch
from support.shop_log import shop_log, tiny_settings

from clickstream.domain.evaluations import Gain
from clickstream.training.data.dataset import read_dataset
from clickstream.training.data.examples import Example
from clickstream.training.encoder.encoder import embed, load_encoder
from clickstream.training.measuring import ranking
from clickstream.training.measuring.ranking import QUERIES_AT_ONCE, QueryScores, compare_scores, score


def test_r17_every_metric_has_a_gain_with_an_interval() -> None:
    """R17: each metric's mean gain lies within its interval; a metric that did not change has the interval [0, 0]."""
    base = [QueryScores(0.1, 0.2, 0.0, 0.5)] * 12
    new = [QueryScores(0.2, 0.2, 1.0, 0.0), QueryScores(0.4, 0.2, 0.0, 0.25)] * 6
    compared = compare_scores(base, new, seed=1)
    assert compared.query_count == 12
    assert compared.mrr_gain == Gain(0.0, 0.0, 0.0)
    means = {"ndcg_gain": 0.2, "recall_gain": 0.5, "recall_at_100_gain": -0.375}
    for name, expected in means.items():
        gain = getattr(compared, name)
        assert gain.mean == pytest.approx(expected)
        assert gain.lower < gain.mean < gain.upper
    assert (compared.new.ndcg_at_10, compared.new.recall_at_100) == (pytest.approx(0.3), 0.125)


def test_without_queries_every_number_is_0() -> None:
    """All metrics and gains are 0, and nothing is divided by 0."""
    compared = compare_scores([], [], seed=1)
    assert (compared.query_count, compared.base.ndcg_at_10, compared.ndcg_gain) == (0, 0.0, Gain())


def test_every_known_text_is_ranked(tiny_encoder: Path) -> None:
    """Items are ranked among all 80 texts, not only among the six that were shown for the query."""
    dataset = read_dataset(shop_log(1), tiny_settings("unused"))
    encoder = load_encoder(str(tiny_encoder), 16, "cpu")
    ticks: list[None] = []
    items = embed(encoder, "item", dataset.texts, lambda: None)
    result = score(encoder, dataset.folds[0].held_out, items, lambda: ticks.append(None))
    assert len(result) == len(dataset.folds[0].held_out)
    assert ticks
    # An untrained encoder knows the thing but not the wish: the wanted item is found sometimes, not always.
    assert 0 < sum(score.recall for score in result) / len(result) < 1
    assert all(score.recall_at_100 == 1 for score in result)  # there are 80 texts
    assert score(encoder, [], items, lambda: None) == []


def test_r17_each_query_is_scored_by_its_own_gains(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R17: a perfect model scores 1 on every query, also if the queries need several blocks."""
    vectors = torch.eye(2 * QUERIES_AT_ONCE + 1)
    examples = [Example(f"q{n}", {}, {n: 1.0}) for n in range(len(vectors))]
    monkeypatch.setattr(ranking, "embed", lambda *_: vectors)
    encoder = load_encoder(str(tiny_encoder), 16, "cpu")
    assert score(encoder, examples, vectors, lambda: None) == [QueryScores(1.0, 1.0, 1.0, 1.0)] * len(vectors)
