"""The gate: whether a new model is better than its base model beyond noise."""

from collections.abc import Sequence

from clickstream.domain.evaluations import Comparison, Evaluation, JudgedEvaluation, Segment
from clickstream.domain.query_split import MIN_HELD_OUT_QUERIES
from clickstream.training.measuring.ranking import QueryScores, compare_scores


def judge(
    base: Sequence[QueryScores],
    new: Sequence[QueryScores],
    seed: int,
    segments: Sequence[Segment] = (),
    judged: JudgedEvaluation | None = None,
) -> tuple[Evaluation, bool, str]:
    """Compares two models on the same held-out queries, and decides whether the new one passes (R17).

    It passes if there are at least `MIN_HELD_OUT_QUERIES` held-out queries, the whole 95 % interval of their nDCG@10
    gain lies above 0, and in no group of at least as many judged queries the whole interval lies below 0.

    Args:
        base: The base model's scores of the held-out queries.
        new: The new model's scores of the same queries, in the same order.
        seed: Seeds the intervals.
        segments: Become part of the evaluation.
        judged: Both models on the judged queries, if there are any.

    Returns:
            The evaluation, whether the new model passes its gate, and the reason in words.
    """
    held_out = compare_scores(base, new, seed)
    gain = held_out.ndcg_gain
    evaluation = Evaluation(
        held_out.base,
        held_out.new,
        gain,
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
