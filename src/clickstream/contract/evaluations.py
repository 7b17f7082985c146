"""Judgements to contract messages, and evaluations from them."""

from collections.abc import Sequence

from embedding_studio.clickstream.v1 import evaluation_pb2, judged_query_pb2

from clickstream.domain.evaluations import Comparison, Evaluation, Gain, JudgedEvaluation, Metrics, Segment, StepScale
from clickstream.domain.judgements import JudgedQuery

# Fields of the same name in both messages and both domain classes.
GAINS = ("ndcg_gain", "mrr_gain", "recall_gain", "recall_at_100_gain")


def judged_query_messages(judged: Sequence[JudgedQuery]) -> list[judged_query_pb2.JudgedQuery]:
    """Judgements for the contract."""
    return [
        judged_query_pb2.JudgedQuery(
            query=each.query,
            judgements=[
                judged_query_pb2.Judgement(object_id=object_id, grade=grade) for object_id, grade in each.grades.items()
            ],
        )
        for each in judged
    ]


def evaluation_from(message: evaluation_pb2.Evaluation) -> Evaluation:
    """An evaluation as a domain object."""
    judged = None
    if message.HasField("judged"):
        judged = JudgedEvaluation(
            judgements_sha256=message.judged.judgements_sha256,
            unsearched=_comparison(message.judged.unsearched),
            searched=_comparison(message.judged.searched),
            unmeasured_queries=message.judged.unmeasured_queries,
            unknown_items=message.judged.unknown_items,
        )
    return Evaluation(
        base=_metrics(message.base),
        new=_metrics(message.new),
        **{name: _gain(getattr(message, name)) for name in GAINS},
        segments=tuple(Segment(each.kind, each.value, _comparison(each.comparison)) for each in message.segments),
        judged=judged,
        repeated=_comparison(message.repeated) if message.HasField("repeated") else None,
        weighted_gain=_gain(message.weighted_gain) if message.HasField("weighted_gain") else None,
        repeated_share=message.repeated_share,
        repeated_share_basis=message.repeated_share_basis,
        folds=message.folds,
        step_scale=message.step_scale,
        step_scales=tuple(
            StepScale(each.scale, each.held_out_ndcg_at_10, each.repeated_ndcg_at_10) for each in message.step_scales
        ),
    )


def _comparison(message: evaluation_pb2.Comparison) -> Comparison:
    gains = {name: _gain(getattr(message, name)) for name in GAINS}
    return Comparison(message.query_count, _metrics(message.base), _metrics(message.new), **gains)


def _metrics(message: evaluation_pb2.Metrics) -> Metrics:
    return Metrics(message.ndcg_at_10, message.mrr_at_10, message.recall_at_10, message.recall_at_100)


def _gain(message: evaluation_pb2.Gain) -> Gain:
    return Gain(message.mean, message.lower, message.upper)
