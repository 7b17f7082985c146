"""Checks of judged queries."""

from collections.abc import Sequence

from embedding_studio.clickstream.v1 import judged_query_pb2 as pb

from clickstream.domain import limits
from clickstream.domain.errors import FieldViolation
from clickstream.domain.judgements import JudgedQuery
from clickstream.domain.query_split import normalised
from clickstream.servicers.checks import fields


def checked_judged_queries(messages: Sequence[pb.JudgedQuery]) -> list[JudgedQuery]:
    """Returns the judgements if they are within the limits. Raises InvalidArgument naming the fields at fault."""
    _check_amount(messages)
    violations = fields.Violations()
    for place, message in enumerate(messages):
        field = f"judged_queries[{place}]"
        if not normalised(message.query):
            violations.append(FieldViolation(f"{field}.query", "is required"))
        if len(message.query) > limits.QUERY_CHARACTERS:
            description = f"has {len(message.query)} characters; {limits.QUERY_CHARACTERS} are allowed"
            violations.append(FieldViolation(f"{field}.query", description, fields.LIMIT))
        if not message.judgements:
            violations.append(FieldViolation(f"{field}.judgements", "is required"))
        seen = set()
        for index, judgement in enumerate(message.judgements):
            inner = f"{field}.judgements[{index}]"
            fields.check_id(judgement.object_id, f"{inner}.object_id", violations)
            if judgement.object_id in seen:
                violations.append(FieldViolation(f"{inner}.object_id", "is judged twice"))
            if judgement.grade > limits.MAX_GRADE:
                violations.append(FieldViolation(f"{inner}.grade", f"must be from 0 to {limits.MAX_GRADE}"))
            seen.add(judgement.object_id)
        fields.require(violations)  # the violations of one query are enough for an answer
    return [JudgedQuery(each.query, {one.object_id: one.grade for one in each.judgements}) for each in messages]


def _check_amount(messages: Sequence[pb.JudgedQuery]) -> None:
    amounts = [
        (len(messages), limits.JUDGED_QUERIES, "queries"),
        (sum(len(message.judgements) for message in messages), limits.JUDGEMENTS, "judgements"),
        (sum(message.ByteSize() for message in messages), limits.JUDGEMENT_BYTES, "bytes"),
    ]
    fields.require(
        [
            FieldViolation("judged_queries", f"has {amount} {what}; {limit} are allowed", fields.LIMIT)
            for amount, limit, what in amounts
            if amount > limit
        ]
    )
