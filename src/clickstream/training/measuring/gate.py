"""Whether a new model passes its gate."""

from collections.abc import Sequence

from clickstream.domain.evaluations import Comparison, Evaluation, JudgedEvaluation, Segment
from clickstream.domain.query_split import MIN_HELD_OUT_QUERIES
from clickstream.training.measuring.ranking import QueryScores, compare


def judge(
    base: Sequence[QueryScores],
    new: Sequence[QueryScores],
    seed: int,
    segments: Sequence[Segment] = (),
    judged: JudgedEvaluation | None = None,
) -> tuple[Evaluation, bool, str]:
    """Compares two models on the same held-out queries (R17).

    Returns:
        The evaluation, whether the gate passed, and the reason in words. The gate passes if there are
        `MIN_HELD_OUT_QUERIES` queries, the whole 95 % interval of the nDCG@10 gain lies above 0, and on no
        group of as many judged queries it lies below 0.
    """
    held_out = compare(base, new, seed)
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
