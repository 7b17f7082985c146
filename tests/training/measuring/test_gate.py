"""The gate passes a new model only if it is better beyond noise (R17)."""

import pytest

from clickstream.domain.evaluations import JudgedEvaluation, RepeatBasis, RepeatedShare
from clickstream.domain.query_split import MIN_HELD_OUT_QUERIES
from clickstream.training.measuring.gate import HELD_OUT_MARGIN, Scored, judge
from clickstream.training.measuring.ranking import QueryScores, compare_scores

BASE, BETTER = [0.3] * 20, [0.4, 0.5] * 10


def scores(*ndcgs: float) -> list[QueryScores]:
    """Scores of queries that differ in nDCG only, one per number."""
    return [QueryScores(ndcg, 0.5, 0.25, 0.75) for ndcg in ndcgs]


def scored(base: list[float], new: list[float], first: int = 0) -> Scored:
    """Both models' scores of queries that are called by their numbers from `first` on."""
    return Scored([f"query {first + place}" for place in range(len(base))], scores(*base), scores(*new))


def judged(unsearched: list[float], searched: list[float]) -> JudgedEvaluation:
    """The evaluation of judged queries on which the base model scored 0.3 each."""
    groups = [compare_scores(scores(*[0.3] * len(new)), scores(*new), seed=1) for new in (unsearched, searched)]
    return JudgedEvaluation("f00d", *groups, unmeasured_queries=0, unknown_items=0)


def test_r17_a_clear_gain_passes() -> None:
    """R17: a gain whose whole interval lies above 0 passes, and the reason has the numbers."""
    evaluation, passed, reason = judge(scored(BASE, BETTER), seed=1)
    assert passed
    assert evaluation.ndcg_gain.mean == pytest.approx(0.15)
    assert 0.1 < evaluation.ndcg_gain.lower < 0.15 < evaluation.ndcg_gain.upper < 0.2
    base = evaluation.base
    assert (base.mrr_at_10, base.recall_at_10, base.recall_at_100) == (0.5, 0.25, 0.75)
    assert "better beyond noise" in reason
    assert "0.3000 -> 0.4500 on 20 held-out queries" in reason


def test_r17_noise_does_not_pass() -> None:
    """R17: a mean gain whose interval contains 0 is no improvement."""
    evaluation, passed, reason = judge(scored([0.5] * 20, [*[0.0, 1.0] * 9, 1.0, 1.0]), seed=1)
    assert evaluation.ndcg_gain.mean > 0 > evaluation.ndcg_gain.lower
    assert not passed
    assert reason.startswith("not better beyond noise")


def test_r17_a_model_that_changes_nothing_does_not_pass() -> None:
    """R17: a gain of exactly 0 on every query is no improvement."""
    _, passed, reason = judge(scored(BASE, BASE), seed=1)
    assert not passed
    assert reason.startswith("not better beyond noise")


def test_r17_a_worse_model_does_not_pass() -> None:
    """R17: the reason says that the model is worse."""
    _, passed, reason = judge(scored([0.5] * 20, [0.2] * 20), seed=1)
    assert not passed
    assert reason.startswith("worse")


@pytest.mark.parametrize("count", [0, 1, MIN_HELD_OUT_QUERIES - 1])
def test_r17_too_few_held_out_queries_do_not_pass(count: int) -> None:
    """R17: with fewer than `MIN_HELD_OUT_QUERIES` queries no gain is enough."""
    _, passed, reason = judge(scored([0.0] * count, [1.0] * count), seed=1)
    assert not passed
    assert f"{count} held-out queries are too few" in reason


@pytest.mark.parametrize(
    ("groups", "name"),
    [(([0.1, 0.2] * 10, []), "judged, never searched"), (([0.4] * 20, [0.1, 0.2] * 10), "judged, searched")],
)
def test_r18_a_model_that_is_judged_worse_does_not_pass(groups: tuple[list[float], list[float]], name: str) -> None:
    """R18: a model that is better by clicks and worse by judgements is refused, and the reason has both."""
    _, passed, reason = judge(scored(BASE, BETTER), 1, judged=judged(*groups))
    assert not passed
    assert f"20 {name} queries" in reason
    assert reason.startswith("worse by the judgements")
    assert "20 held-out queries" in reason


@pytest.mark.parametrize("new", [[0.4] * 20, [0.3] * 20, [0.1, 0.6] * 10, [0.0] * 9, []])
def test_r18_judgements_refuse_only_beyond_noise(new: list[float]) -> None:
    """R18: judged queries that are better, equal, unclear or too few do not change the decision by clicks."""
    evaluation, passed, _ = judge(scored(BASE, BETTER), 1, judged=judged(new, new))
    assert passed
    assert evaluation.judged == judged(new, new)


def test_r17_judgements_alone_never_pass_a_model() -> None:
    """R17: without a gain in held-out clicks a model does not pass, however good its judged queries are."""
    _, passed, reason = judge(scored(BASE, BASE), 1, judged=judged([1.0] * 50, [1.0] * 50))
    assert not passed
    assert reason.startswith("not better")


HALF = RepeatedShare(0.5, RepeatBasis.EARLIER_BATCHES)


def test_r28_both_answers_are_weighed_by_the_share_of_repeated_searches() -> None:
    """R28: the gate decides by the weighted gain, and the reason names both answers, the share and where it is from."""
    held_out, repeated = scored(BASE, [0.3, 0.32] * 10), scored(BASE, BETTER, first=100)
    evaluation, passed, reason = judge(held_out, 1, repeated, RepeatedShare(0.8, RepeatBasis.EARLIER_BATCHES))
    assert passed
    assert evaluation.weighted_gain is not None
    assert evaluation.weighted_gain.mean == pytest.approx(0.8 * 0.15 + 0.2 * 0.01)
    assert evaluation.repeated is not None
    assert (evaluation.repeated.query_count, evaluation.repeated_share) == (20, 0.8)
    assert evaluation.repeated_share_basis == "earlier_batches"
    assert "0.3000 -> 0.4500 on 20 trained queries" in reason
    assert "0.3000 -> 0.3100 on 20 held-out queries" in reason
    assert "80% of the last batch's searches repeat one of an earlier batch" in reason


def test_r28_a_gain_on_repeated_searches_does_not_pay_for_a_loss_on_others() -> None:
    """R28: a model that is provably worse on searches that nobody made is refused, however much it gains elsewhere."""
    _, passed, reason = judge(scored(BASE, [0.28, 0.29] * 10), 1, scored(BASE, [0.9] * 20, first=100), HALF)
    assert not passed
    assert reason.startswith("worse beyond noise on searches that nobody made")


def test_r28_a_loss_beyond_the_margin_is_refused_even_if_it_may_be_chance() -> None:
    """R28: held-out queries that lose more than the margin refuse a model, though their interval reaches above 0."""
    noisy = [0.1, 0.5 - 4 * HELD_OUT_MARGIN] * 10
    evaluation, passed, reason = judge(scored(BASE, noisy), 1, scored(BASE, [0.9] * 20, first=100), HALF)
    assert evaluation.ndcg_gain.mean == pytest.approx(-2 * HELD_OUT_MARGIN)
    assert evaluation.ndcg_gain.upper > 0
    assert not passed
    assert "may lose 0.005 at most" in reason


def test_r28_few_repeated_queries_take_no_part() -> None:
    """R28: with fewer repeated queries than a gate needs, held-out queries decide alone."""
    evaluation, passed, _ = judge(scored(BASE, BETTER), 1, scored([0.9] * 9, [0.1] * 9, first=100), HALF)
    assert passed
    assert (evaluation.repeated, evaluation.weighted_gain, evaluation.repeated_share) == (None, None, 0.0)


def test_r17_a_query_in_both_answers_is_drawn_once() -> None:
    """R17: gains that go together widen the interval: the same queries tell less than as many others."""
    better = [0.2, 0.5] * 10
    same, others = (judge(scored(BASE, better), 1, scored(BASE, better, first), HALF)[0] for first in (0, 100))
    assert same.weighted_gain is not None
    assert others.weighted_gain is not None
    widths = [each.weighted_gain.upper - each.weighted_gain.lower for each in (same, others) if each.weighted_gain]
    assert widths[0] > 1.3 * widths[1]


def test_r17_every_earlier_run_on_the_batch_widens_the_interval() -> None:
    """R17: a gain that one run may show does not pass as the best of ten runs on the same batch."""
    barely = scored([0.5] * 20, [0.2, 0.95] * 10)
    assert judge(barely, 1).passed is False
    barely = scored([0.5] * 40, [0.4, 0.72] * 20)
    assert judge(barely, 1).passed
    verdict = judge(barely, 1, earlier_runs=9)
    assert not verdict.passed
    assert "pays for 9 earlier runs" in verdict.reason


def test_a_refusal_says_how_many_queries_are_missing() -> None:
    """A gain that is not beyond noise comes with the number of queries that would decide a gain of its size."""
    reason = judge(scored([0.5] * 20, [0.4, 0.7] * 10), 1).reason
    assert "a gain of this size needs about" in reason
    missing = int(reason.split("needs about ")[1].split()[0])
    more = 2 * (10 + missing // 2 + 5)
    assert judge(scored([0.5] * more, [0.4, 0.7] * (more // 2)), 1).passed
