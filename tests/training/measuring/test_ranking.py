from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.shop_log import shop_log, tiny_settings

from clickstream.domain.evaluations import Gain, JudgedEvaluation
from clickstream.domain.query_split import MIN_HELD_OUT_QUERIES
from clickstream.training.data.dataset import Example, read_dataset
from clickstream.training.encoder.encoder import embed, load_encoder
from clickstream.training.measuring import ranking
from clickstream.training.measuring.gate import judge
from clickstream.training.measuring.ranking import QUERIES_AT_ONCE, QueryScores, compare, evaluate, score

BASE, BETTER = [0.3] * 20, [0.4, 0.5] * 10


def scores(*ndcgs: float) -> list[QueryScores]:
    """Scores of queries that differ in nDCG only."""
    return [QueryScores(ndcg, 0.5, 0.25, 0.75) for ndcg in ndcgs]


def judged(unsearched: list[float], searched: list[float]) -> JudgedEvaluation:
    """Judged queries on which the base model scored 0.3 each."""
    groups = [compare(scores(*[0.3] * len(new)), scores(*new), seed=1) for new in (unsearched, searched)]
    return JudgedEvaluation("f00d", *groups, unmeasured_queries=0, unknown_items=0)


def test_a_clear_gain_promotes() -> None:
    """R17: the whole interval lies above 0, and the reason carries the numbers."""
    evaluation, promoted, reason = judge(scores(*BASE), scores(*BETTER), seed=1)
    assert promoted
    assert evaluation.ndcg_gain == pytest.approx(0.15)
    assert 0.1 < evaluation.ndcg_gain_lower < 0.15 < evaluation.ndcg_gain_upper < 0.2
    base = evaluation.base
    assert (base.mrr_at_10, base.recall_at_10, base.recall_at_100) == (0.5, 0.25, 0.75)
    assert "better beyond noise" in reason
    assert "0.3000 -> 0.4500 on 20 held-out queries" in reason


def test_noise_does_not_promote() -> None:
    """R17: a gain on average whose interval holds 0 is no improvement."""
    evaluation, promoted, reason = judge(scores(*[0.5] * 20), scores(*[0.0, 1.0] * 9, 1.0, 1.0), seed=1)
    assert evaluation.ndcg_gain > 0 > evaluation.ndcg_gain_lower
    assert not promoted
    assert reason.startswith("not better beyond noise")


def test_a_model_that_changes_nothing_is_not_promoted() -> None:
    """R17: a gain of exactly 0 everywhere lies on the border, not above it."""
    _, promoted, reason = judge(scores(*BASE), scores(*BASE), seed=1)
    assert not promoted
    assert reason.startswith("not better beyond noise")


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
    assert f"{count} held-out queries are too few" in reason


@pytest.mark.parametrize(
    ("groups", "name"),
    [(([0.1, 0.2] * 10, []), "judged, never searched"), (([0.4] * 20, [0.1, 0.2] * 10), "judged, searched")],
)
def test_worse_by_the_judgements_is_not_promoted(groups: tuple[list[float], list[float]], name: str) -> None:
    """R18: better by clicks and worse by judgements is refused, and the reason has both."""
    _, promoted, reason = judge(scores(*BASE), scores(*BETTER), 1, judged=judged(*groups))
    assert not promoted
    assert f"20 {name} queries" in reason
    assert reason.startswith("worse by the judgements")
    assert "20 held-out queries" in reason


@pytest.mark.parametrize("new", [[0.4] * 20, [0.3] * 20, [0.1, 0.6] * 10, [0.0] * 9, []])
def test_judgements_refuse_only_beyond_noise(new: list[float]) -> None:
    """R18: better, the same, unclear, or too few judged queries leave the clicks' verdict as it is."""
    evaluation, promoted, _ = judge(scores(*BASE), scores(*BETTER), 1, judged=judged(new, new))
    assert promoted
    assert evaluation.judged == judged(new, new)


def test_judgements_alone_never_promote() -> None:
    """R17: a model that the held-out clicks do not show to be better stays, whatever the judgements say."""
    _, promoted, reason = judge(scores(*BASE), scores(*BASE), 1, judged=judged([1.0] * 50, [1.0] * 50))
    assert not promoted
    assert reason.startswith("not better")


def test_every_metric_has_its_gain_with_an_interval() -> None:
    """R17: each metric's mean gain lies within its interval; one that never moved has a point."""
    base = [QueryScores(0.1, 0.2, 0.0, 0.5)] * 12
    new = [QueryScores(0.2, 0.2, 1.0, 0.0), QueryScores(0.4, 0.2, 0.0, 0.25)] * 6
    compared = compare(base, new, seed=1)
    assert compared.query_count == 12
    assert compared.mrr_gain == Gain(0.0, 0.0, 0.0)
    means = {"ndcg_gain": 0.2, "recall_gain": 0.5, "recall_at_100_gain": -0.375}
    for name, expected in means.items():
        gain = getattr(compared, name)
        assert gain.mean == pytest.approx(expected)
        assert gain.lower < gain.mean < gain.upper
    assert (compared.new.ndcg_at_10, compared.new.recall_at_100) == (pytest.approx(0.3), 0.125)


def test_without_queries_there_is_nothing_to_compare() -> None:
    """No query, no number: all 0, no division by 0."""
    compared = compare([], [], seed=1)
    assert (compared.query_count, compared.base.ndcg_at_10, compared.ndcg_gain) == (0, 0.0, Gain())


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
    assert all(score.recall_at_100 == 1 for score in result)  # there are 80 texts
    assert evaluate(encoder, replace(dataset, held_out=[]), items, lambda: None) == []


def test_each_query_is_scored_by_its_own_gains(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R17: a perfect model measures 1 on every query, also where the queries need several blocks."""
    vectors = torch.eye(2 * QUERIES_AT_ONCE + 1)
    examples = [Example(f"q{n}", {}, {n: 1.0}) for n in range(len(vectors))]
    monkeypatch.setattr(ranking, "embed", lambda *_: vectors)
    encoder = load_encoder(str(tiny_encoder), 16, "cpu")
    assert score(encoder, examples, vectors, lambda: None) == [QueryScores(1.0, 1.0, 1.0, 1.0)] * len(vectors)
