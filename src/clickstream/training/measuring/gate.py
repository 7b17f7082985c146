"""The gate: whether a new model is better than its base model beyond noise."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from clickstream.domain.evaluations import (
    NOTHING_REPEATED,
    Comparison,
    Evaluation,
    Gain,
    JudgedEvaluation,
    RepeatBasis,
    RepeatedShare,
    Segment,
)
from clickstream.domain.query_split import MIN_HELD_OUT_QUERIES
from clickstream.training.measuring.metrics import bootstrap_weighted_gain
from clickstream.training.measuring.ranking import QueryScores, compare_scores

# A new model whose held-out queries lose more than this in nDCG@10 does not pass, even if this may be chance.
HELD_OUT_MARGIN = 0.005

# Where the earlier searches of a repeated search are, for people.
BASES = {
    RepeatBasis.BASE_MODEL: "of the searches repeat one that the base model was trained on",
    RepeatBasis.EARLIER_BATCHES: "of the last batch's searches repeat one of an earlier batch",
    RepeatBasis.EARLIER_HALF: "of the searches repeat an earlier one, by the later half of these sessions",
}


class Scored(NamedTuple):
    """Two models' scores of the same queries, one entry for each query."""

    queries: Sequence[str] = ()
    base: Sequence[QueryScores] = ()
    new: Sequence[QueryScores] = ()


NO_SCORES = Scored()


class Verdict(NamedTuple):
    """The evaluation, whether the new model passes its gate, and the reason in words."""

    evaluation: Evaluation
    passed: bool
    reason: str


def judge(
    held_out: Scored,
    seed: int,
    repeated: Scored = NO_SCORES,
    repeated_share: RepeatedShare = NOTHING_REPEATED,
    segments: Sequence[Segment] = (),
    judged: JudgedEvaluation | None = None,
    earlier_runs: int = 0,
) -> Verdict:
    """Compares two models on the same queries, and decides whether the new one passes (R17, R28).

    It passes if all of this holds:

    - At least `MIN_HELD_OUT_QUERIES` queries are held out.
    - The whole interval of the weighted gain in nDCG@10 lies above 0. It is the gain of repeated queries times their
      share of the searches, and the gain of held-out queries times the rest. With fewer repeated queries than
      that, it is the gain of held-out queries alone.
    - Held-out queries lose at most `HELD_OUT_MARGIN`, and nothing beyond noise.
    - In no group of at least as many judged queries the whole interval lies below 0.

    Args:
        held_out: Scores of queries that training never saw.
        seed: Seeds the intervals.
        repeated: Scores of trained queries by sessions that did not train.
        repeated_share: The share of searches that repeat an earlier one.
        segments: Become part of the evaluation.
        judged: Both models on the judged queries, if there are any.
        earlier_runs: Runs on the same batches that were judged before. Each one more chance to pass by luck, so the
            interval's chance of error is divided by their number (Bonferroni).
    """
    compared = compare_scores(held_out.base, held_out.new, seed)
    evaluation = Evaluation(
        compared.base,
        compared.new,
        compared.ndcg_gain,
        compared.mrr_gain,
        compared.recall_gain,
        compared.recall_at_100_gain,
        tuple(segments),
        judged,
    )
    again = None
    if len(repeated.queries) >= MIN_HELD_OUT_QUERIES and compared.query_count:
        again = compare_scores(repeated.base, repeated.new, seed)
        evaluation = replace(
            evaluation,
            repeated=again,
            repeated_share=repeated_share.share,
            repeated_share_basis=str(repeated_share.basis),
        )
    gain, share = Gain(), repeated_share.share if again else 0.0
    if compared.query_count:
        gain = _weighted_gain(held_out, repeated if again else NO_SCORES, share, seed, earlier_runs)
        evaluation = replace(evaluation, weighted_gain=gain if again else None)
    if (count := compared.query_count) < MIN_HELD_OUT_QUERIES:
        reason = f"{count} held-out queries are too few to tell; at least {MIN_HELD_OUT_QUERIES} are needed"
        return Verdict(evaluation, False, reason)
    measured = _measured(compared, again, repeated_share, gain, earlier_runs)
    return Verdict(evaluation, *_decide(compared, again, gain, judged, measured))


def _decide(
    held_out: Comparison, repeated: Comparison | None, gain: Gain, judged: JudgedEvaluation | None, measured: str
) -> tuple[bool, str]:
    if gain.upper < 0:
        return False, f"worse beyond noise: {measured}"
    if repeated and held_out.ndcg_gain.upper < 0:
        return False, f"worse beyond noise on searches that nobody made: {measured}"
    if gain.lower <= 0:
        return False, f"not better beyond noise: {measured}{_missing(gain, held_out, repeated)}"
    if held_out.ndcg_gain.mean < -HELD_OUT_MARGIN:
        margin = f"held-out queries may lose {HELD_OUT_MARGIN} at most"
        return False, f"worse on searches that nobody made, and {margin}: {measured}"
    groups = ((judged.unsearched, "judged, never searched"), (judged.searched, "judged, searched")) if judged else ()
    for group, name in groups:
        if group.query_count >= MIN_HELD_OUT_QUERIES and group.ndcg_gain.upper < 0:
            worse = f"worse by the judgements: {_in_words(group, name)}"
            return False, f"{worse}; by clicks better: {measured}"
    return True, f"better beyond noise: {measured}"


def _weighted_gain(held_out: Scored, repeated: Scored, share: float, seed: int, earlier_runs: int) -> Gain:
    """The gain in nDCG@10 over all searches. A query that is in both parts is drawn once for both."""
    places = {query: place for place, query in enumerate(dict.fromkeys((*held_out.queries, *repeated.queries)))}
    gains = np.full((len(places), 2), np.nan)
    for part, scored in enumerate((held_out, repeated)):
        for query, base, new in zip(*scored, strict=True):
            gains[places[query], part] = new.ndcg - base.ndcg
    return Gain(*bootstrap_weighted_gain(gains, (1 - share, share), seed, 0.05 / (1 + earlier_runs)))


def _measured(
    held_out: Comparison, repeated: Comparison | None, share: RepeatedShare, gain: Gain, earlier_runs: int
) -> str:
    """What was measured, in words."""
    words = _in_words(held_out, "held-out")
    if repeated:
        basis = BASES[share.basis]
        words = (
            f"weighted gain in nDCG@10 {gain}; repeated searches: {_in_words(repeated, 'trained')}; "
            f"never made: {words}; {share.share:.0%} {basis}"
        )
    if earlier_runs:
        words += f"; the interval pays for {earlier_runs} earlier runs on the same batches"
    return words


def _missing(gain: Gain, held_out: Comparison, repeated: Comparison | None) -> str:
    """How many more queries would decide it, if the gain stays as it is; empty without a gain.

    The interval shrinks with the square root of the number of queries.
    """
    if gain.mean <= 0:
        return ""
    times = ((gain.mean - gain.lower) / gain.mean) ** 2 - 1
    queries = f"{math.ceil(times * held_out.query_count)} more held-out queries"
    if repeated:
        queries += f" and {math.ceil(times * repeated.query_count)} more repeated ones"
    return f"; a gain of this size needs about {queries}"


def _in_words(compared: Comparison, kind: str) -> str:
    return (
        f"nDCG@10 {compared.base.ndcg_at_10:.4f} -> {compared.new.ndcg_at_10:.4f} "
        f"on {compared.query_count} {kind} queries, gain {compared.ndcg_gain}"
    )
