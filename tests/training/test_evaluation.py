from pathlib import Path

import pytest
from training.shop_log import shop_log, tiny_settings

from clickstream.training.dataset import read_dataset
from clickstream.training.evaluation import MIN_HELD_OUT_QUERIES, QueryScores, evaluate, judge
from clickstream.training.model import embed, load_encoder


def scores(*ndcgs: float) -> list[QueryScores]:
    """Scores of queries that differ in nDCG only."""
    return [QueryScores(ndcg, 0.5, 0.25) for ndcg in ndcgs]


def test_a_clear_gain_promotes() -> None:
    """R17: the whole interval lies above 0, and the reason carries the numbers."""
    evaluation, promoted, reason = judge(scores(*[0.3] * 20), scores(*[0.4, 0.5] * 10), seed=1)
    assert promoted
    assert evaluation.ndcg_gain == pytest.approx(0.15)
    assert 0.1 < evaluation.ndcg_gain_lower < 0.15 < evaluation.ndcg_gain_upper < 0.2
    assert (evaluation.base.mrr_at_10, evaluation.base.recall_at_10) == (0.5, 0.25)
    assert "better beyond noise" in reason
    assert "0.3000 -> 0.4500 on 20 held-out queries" in reason


def test_noise_does_not_promote() -> None:
    """R17: a gain on average whose interval holds 0 is no improvement."""
    evaluation, promoted, reason = judge(scores(*[0.5] * 20), scores(*[0.0, 1.0] * 9, 1.0, 1.0), seed=1)
    assert evaluation.ndcg_gain > 0 > evaluation.ndcg_gain_lower
    assert not promoted
    assert "not better beyond noise" in reason


def test_a_loss_does_not_promote() -> None:
    """R17: worse is said in words."""
    _, promoted, reason = judge(scores(*[0.5] * 20), scores(*[0.2] * 20), seed=1)
    assert not promoted
    assert reason.startswith("worse")


@pytest.mark.parametrize("count", [0, 1, MIN_HELD_OUT_QUERIES - 1])
def test_too_few_held_out_queries_do_not_promote(count: int) -> None:
    """R17: a handful of queries proves nothing, whatever the gain."""
    _, promoted, reason = judge(scores(*[0.0] * count), scores(*[1.0] * count), seed=1)
    assert not promoted
    assert "too few" in reason


def test_every_known_text_is_ranked(tiny_encoder: Path) -> None:
    """The right item is found among all 80, not only among the six that were shown for the query."""
    dataset = read_dataset(shop_log(1), tiny_settings("unused"))
    encoder = load_encoder(str(tiny_encoder), 16, "cpu")
    ticks: list[None] = []
    items = embed(encoder, "item", dataset.texts, lambda: None)
    result = evaluate(encoder, dataset, items, lambda: ticks.append(None))
    assert len(result) == len(dataset.held_out)
    assert ticks
    # An untrained encoder finds the thing, so eight candidates stay: far from certain, far from never.
    assert 0 < sum(score.recall for score in result) / len(result) < 1
