"""The gate passes a new model only if it is better beyond noise (R17)."""

import pytest

from clickstream.domain.evaluations import JudgedEvaluation
from clickstream.domain.query_split import MIN_HELD_OUT_QUERIES
from clickstream.training.measuring.gate import judge
from clickstream.training.measuring.ranking import QueryScores, compare_scores

BASE, BETTER = [0.3] * 20, [0.4, 0.5] * 10


def scores(*ndcgs: float) -> list[QueryScores]:
    """Scores of queries that differ in nDCG only, one per number."""
    return [QueryScores(ndcg, 0.5, 0.25, 0.75) for ndcg in ndcgs]


def judged(unsearched: list[float], searched: list[float]) -> JudgedEvaluation:
    """The evaluation of judged queries on which the base model scored 0.3 each."""
    groups = [compare_scores(scores(*[0.3] * len(new)), scores(*new), seed=1) for new in (unsearched, searched)]
    return JudgedEvaluation("f00d", *groups, unmeasured_queries=0, unknown_items=0)


def test_r17_a_clear_gain_passes() -> None:
    """R17: a gain whose whole interval lies above 0 passes, and the reason has the numbers."""
    evaluation, passed, reason = judge(scores(*BASE), scores(*BETTER), seed=1)
    assert passed
    assert evaluation.ndcg_gain.mean == pytest.approx(0.15)
    assert 0.1 < evaluation.ndcg_gain.lower < 0.15 < evaluation.ndcg_gain.upper < 0.2
    base = evaluation.base
    assert (base.mrr_at_10, base.recall_at_10, base.recall_at_100) == (0.5, 0.25, 0.75)
    assert "better beyond noise" in reason
    assert "0.3000 -> 0.4500 on 20 held-out queries" in reason


def test_r17_noise_does_not_pass() -> None:
    """R17: a mean gain whose interval contains 0 is no improvement."""
    evaluation, passed, reason = judge(scores(*[0.5] * 20), scores(*[0.0, 1.0] * 9, 1.0, 1.0), seed=1)
    assert evaluation.ndcg_gain.mean > 0 > evaluation.ndcg_gain.lower
    assert not passed
    assert reason.startswith("not better beyond noise")


def test_r17_a_model_that_changes_nothing_does_not_pass() -> None:
    """R17: a gain of exactly 0 on every query is no improvement."""
    _, passed, reason = judge(scores(*BASE), scores(*BASE), seed=1)
    assert not passed
    assert reason.startswith("not better beyond noise")


def test_r17_a_worse_model_does_not_pass() -> None:
    """R17: the reason says that the model is worse."""
    _, passed, reason = judge(scores(*[0.5] * 20), scores(*[0.2] * 20), seed=1)
    assert not passed
    assert reason.startswith("worse")


@pytest.mark.parametrize("count", [0, 1, MIN_HELD_OUT_QUERIES - 1])
def test_r17_too_few_held_out_queries_do_not_pass(count: int) -> None:
    """R17: with fewer than `MIN_HELD_OUT_QUERIES` queries no gain is enough."""
    _, passed, reason = judge(scores(*[0.0] * count), scores(*[1.0] * count), seed=1)
    assert not passed
    assert f"{count} held-out queries are too few" in reason


@pytest.mark.parametrize(
    ("groups", "name"),
    [(([0.1, 0.2] * 10, []), "judged, never searched"), (([0.4] * 20, [0.1, 0.2] * 10), "judged, searched")],
)
def test_r18_a_model_that_is_judged_worse_does_not_pass(groups: tuple[list[float], list[float]], name: str) -> None:
    """R18: a model that is better by clicks and worse by judgements is refused, and the reason has both."""
    _, passed, reason = judge(scores(*BASE), scores(*BETTER), 1, judged=judged(*groups))
    assert not passed
    assert f"20 {name} queries" in reason
    assert reason.startswith("worse by the judgements")
    assert "20 held-out queries" in reason


@pytest.mark.parametrize("new", [[0.4] * 20, [0.3] * 20, [0.1, 0.6] * 10, [0.0] * 9, []])
def test_r18_judgements_refuse_only_beyond_noise(new: list[float]) -> None:
    """R18: judged queries that are better, equal, unclear or too few do not change the decision by clicks."""
    evaluation, passed, _ = judge(scores(*BASE), scores(*BETTER), 1, judged=judged(new, new))
    assert passed
    assert evaluation.judged == judged(new, new)


def test_r17_judgements_alone_never_pass_a_model() -> None:
    """R17: without a gain in held-out clicks a model does not pass, however good its judged queries are."""
    _, passed, reason = judge(scores(*BASE), scores(*BASE), 1, judged=judged([1.0] * 50, [1.0] * 50))
    assert not passed
    assert reason.startswith("not better")
