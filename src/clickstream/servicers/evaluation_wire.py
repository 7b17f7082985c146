"""Judgements and evaluations: contract messages ↔ domain objects."""

from collections.abc import Sequence

from embedding_studio.clickstream.v1 import fine_tuning_service_pb2 as pb

from clickstream import limits
from clickstream.errors import FieldViolation
from clickstream.evaluations import Comparison, Evaluation, Gain, JudgedEvaluation, Metrics, Segment
from clickstream.judgements import JudgedQuery
from clickstream.servicers import validation

GAINS = ("ndcg_gain", "mrr_gain", "recall_gain", "recall_at_100_gain")


def judged_queries(messages: Sequence[pb.JudgedQuery]) -> list[JudgedQuery]:
    """Checked judgements. Raises InvalidArgument naming the fields beyond a limit."""
    _check_amount(messages)
    violations: validation.Violations = []
    for place, message in enumerate(messages):
        field = f"judged_queries[{place}]"
        if not message.query.strip():
            violations.append(FieldViolation(f"{field}.query", "is required"))
        if len(message.query) > limits.QUERY_CHARACTERS:
            description = f"has {len(message.query)} characters; {limits.QUERY_CHARACTERS} are allowed"
            violations.append(FieldViolation(f"{field}.query", description, validation.LIMIT))
        if not message.judgements:
            violations.append(FieldViolation(f"{field}.judgements", "is required"))
        seen = set()
        for index, judgement in enumerate(message.judgements):
            inner = f"{field}.judgements[{index}]"
            validation.check_id(judgement.object_id, f"{inner}.object_id", violations)
            if judgement.object_id in seen:
                violations.append(FieldViolation(f"{inner}.object_id", "is judged twice"))
            if judgement.grade > limits.MAX_GRADE:
                violations.append(FieldViolation(f"{inner}.grade", f"must be from 0 to {limits.MAX_GRADE}"))
            seen.add(judgement.object_id)
        validation.require(violations)  # one query's faults are enough to tell
    return [JudgedQuery(each.query, {one.object_id: one.grade for one in each.judgements}) for each in messages]


def _check_amount(messages: Sequence[pb.JudgedQuery]) -> None:
    amounts = [
        (len(messages), limits.JUDGED_QUERIES, "queries"),
        (sum(len(message.judgements) for message in messages), limits.JUDGEMENTS, "judgements"),
        (sum(message.ByteSize() for message in messages), limits.JUDGEMENT_BYTES, "bytes"),
    ]
    validation.require(
        [
            FieldViolation("judged_queries", f"has {amount} {what}; {limit} are allowed", validation.LIMIT)
            for amount, limit, what in amounts
            if amount > limit
        ]
    )


def judged_query_messages(judged: Sequence[JudgedQuery]) -> list[pb.JudgedQuery]:
    """Judgements for the contract."""
    return [
        pb.JudgedQuery(
            query=each.query,
            judgements=[pb.Judgement(object_id=object_id, grade=grade) for object_id, grade in each.grades.items()],
        )
        for each in judged
    ]


def evaluation_from(message: pb.Evaluation) -> Evaluation:
    """An evaluation as the service keeps it."""
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
        ndcg_gain=message.ndcg_gain,
        ndcg_gain_lower=message.ndcg_gain_lower,
        ndcg_gain_upper=message.ndcg_gain_upper,
        **{name: _gain(getattr(message, name)) for name in GAINS[1:]},
        segments=tuple(Segment(each.kind, each.value, _comparison(each.comparison)) for each in message.segments),
        judged=judged,
    )


def _comparison(message: pb.Comparison) -> Comparison:
    gains = {name: _gain(getattr(message, name)) for name in GAINS}
    return Comparison(message.query_count, _metrics(message.base), _metrics(message.new), **gains)


def _metrics(message: pb.Metrics) -> Metrics:
    return Metrics(message.ndcg_at_10, message.mrr_at_10, message.recall_at_10, message.recall_at_100)


def _gain(message: pb.Gain) -> Gain:
    return Gain(message.mean, message.lower, message.upper)
