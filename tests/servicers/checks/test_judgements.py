"""Checks of judged queries."""

import pytest
from embedding_studio.clickstream.v1 import judged_query_pb2 as pb

from clickstream.contract.evaluations import judged_query_messages
from clickstream.domain import limits
from clickstream.domain.errors import InvalidArgument
from clickstream.domain.judgements import JudgedQuery
from clickstream.servicers.checks.judgements import checked_judged_queries


def judged(query: str = "red shoe", *objects: str, grade: int = 1) -> pb.JudgedQuery:
    """Judgements on one query."""
    return pb.JudgedQuery(query=query, judgements=[pb.Judgement(object_id=each, grade=grade) for each in objects])


def faults(*messages: pb.JudgedQuery) -> list[tuple[str, str]]:
    """The refused fields, with their reasons."""
    with pytest.raises(InvalidArgument) as caught:
        checked_judged_queries(messages)
    return [(violation.field, violation.reason) for violation in caught.value.violations]


def test_r18_judgements_cross_the_wire_whole() -> None:
    """R18: judgements arrive at the trainer as they were given."""
    given = [JudgedQuery("red shoe", {"a": 0, "b": 10}), JudgedQuery("lamp", {"c": 1})]
    assert checked_judged_queries(judged_query_messages(given)) == given


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (judged("", "a"), "judged_queries[1].query"),
        (judged(" ", "a"), "judged_queries[1].query"),
        (judged("q" * 4_097, "a"), "judged_queries[1].query"),
        (judged("lamp"), "judged_queries[1].judgements"),
        (judged("lamp", "a", ""), "judged_queries[1].judgements[1].object_id"),
        (judged("lamp", "a" * 257), "judged_queries[1].judgements[0].object_id"),
        (judged("lamp", "a", "b", "a"), "judged_queries[1].judgements[2].object_id"),
        (judged("lamp", "a", grade=11), "judged_queries[1].judgements[0].grade"),
    ],
)
def test_r7_a_faulty_judgement_is_named(message: pb.JudgedQuery, field: str) -> None:
    """R7: a faulty judgement is refused with the path of its field."""
    assert [found for found, _ in faults(judged("red shoe", "a"), message)] == [field]


def test_r7_the_amount_of_judgements_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """R7: judgements are accepted at each limit and refused beyond it."""
    two = [judged("red shoe", "a", "b"), judged("lamp", "c")]
    size = sum(message.ByteSize() for message in two)
    for name, amount in (("JUDGED_QUERIES", 2), ("JUDGEMENTS", 3), ("JUDGEMENT_BYTES", size)):
        with monkeypatch.context() as patched:
            patched.setattr(limits, name, amount)
            assert len(checked_judged_queries(two)) == 2
            patched.setattr(limits, name, amount - 1)
            assert faults(*two) == [("judged_queries", "LIMIT_EXCEEDED")]
