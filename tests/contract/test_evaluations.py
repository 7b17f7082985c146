"""Judgements and evaluations on the wire, and what a split by time needs there (R7, R14, R17, R18)."""

from dataclasses import replace
from datetime import datetime

import pytest
from embedding_studio.clickstream.v1 import judged_query_pb2 as pb
from support.builders import NOW, model_version, training_run

from clickstream.contract.evaluations import judged_query_messages
from clickstream.contract.models import model_version_from, model_version_message
from clickstream.contract.runs import settings_message
from clickstream.contract.training_inputs import training_input_from, training_input_message
from clickstream.domain import limits
from clickstream.domain.errors import InvalidArgument
from clickstream.domain.judgements import JudgedQuery
from clickstream.domain.runs import FineTuningSettings
from clickstream.domain.training_inputs import GradedResult, TrainingInput
from clickstream.servicers.checks.judgements import checked_judged_queries
from clickstream.servicers.checks.training_settings import checked_settings


def judged(query: str = "red shoe", *objects: str, grade: int = 1) -> pb.JudgedQuery:
    """Judgements on one query."""
    return pb.JudgedQuery(query=query, judgements=[pb.Judgement(object_id=each, grade=grade) for each in objects])


def faults(*messages: pb.JudgedQuery) -> list[tuple[str, str]]:
    """The fields that are refused, and why."""
    with pytest.raises(InvalidArgument) as caught:
        checked_judged_queries(messages)
    return [(violation.field, violation.reason) for violation in caught.value.violations]


@pytest.mark.parametrize("judged", [True, False])
def test_r17_a_model_version_crosses_the_wire_whole(judged: bool) -> None:
    """R17: every number of an evaluation, its segments and judged queries arrives as it was measured."""
    version = model_version()
    if not judged:
        version = replace(version, evaluation=replace(version.evaluation, judged=None, segments=()))
    message = model_version_message(version)
    assert model_version_from(type(message).FromString(message.SerializeToString())) == version


@pytest.mark.parametrize("searched_at", [NOW, None])
def test_r14_an_input_crosses_the_wire_whole(searched_at: datetime | None) -> None:
    """R14: the fine-tuning module gets what was converted, the time of the search included where there is one."""
    results = (GradedResult("a", 0, 1.5, ("e-1", "e-2"), {"title": "shoe", "sizes": [1.0, None]}),)
    converted = TrainingInput("s-1", "batch-1", 7, "red shoe", results, "test-1", searched_at)
    message = training_input_message(converted)
    assert training_input_from(type(message).FromString(message.SerializeToString())) == converted


def test_r17_settings_cross_the_wire_whole() -> None:
    """R17: what the run was queued with is what the fine-tuning module gets."""
    defaults = FineTuningSettings(base_model="other", item_template="{text}")
    for settings in (training_run().settings, replace(training_run().settings, held_out_after=None)):
        assert checked_settings(settings_message(settings), defaults) == settings


def test_r17_the_time_of_the_split_is_cut_to_what_the_store_keeps() -> None:
    """R16: a run that is taken up again from the store has the same settings."""
    message = settings_message(replace(training_run().settings, held_out_after=None))
    message.held_out_after.FromNanoseconds(int(NOW.timestamp()) * 10**9 + 123_999_999)
    assert checked_settings(message, training_run().settings).held_out_after == NOW.replace(microsecond=123_000)


def test_r18_judgements_cross_the_wire_whole() -> None:
    """R18: what is sent to the fine-tuning module is what was given."""
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
    """R7: the field's path leads to the fault."""
    assert [found for found, _ in faults(judged("red shoe", "a"), message)] == [field]


def test_r7_the_amount_of_judgements_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """R7: at each limit judgements are taken, beyond it refused."""
    two = [judged("red shoe", "a", "b"), judged("lamp", "c")]
    size = sum(message.ByteSize() for message in two)
    for name, amount in (("JUDGED_QUERIES", 2), ("JUDGEMENTS", 3), ("JUDGEMENT_BYTES", size)):
        with monkeypatch.context() as patched:
            patched.setattr(limits, name, amount)
            assert len(checked_judged_queries(two)) == 2
            patched.setattr(limits, name, amount - 1)
            assert faults(*two) == [("judged_queries", "LIMIT_EXCEEDED")]
