"""Inputs that a trainer is sent: what no conversion makes is refused with its field (R7)."""

import math
from datetime import UTC, datetime

import pytest
from embedding_studio.clickstream.v1.training_input_pb2 import GradedResult, TrainingInput
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from clickstream.domain.errors import InvalidArgument
from clickstream.servicers.checks.training_inputs import checked_input


def good() -> TrainingInput:
    """An input as a conversion makes it."""
    return TrainingInput(
        session_id="s-1",
        batch_id="batch-1",
        session_number=1,
        query="red shoes",
        results=[GradedResult(object_id="a", position=0, grade=1.0)],
        searched_at=Timestamp(seconds=1_700_000_000),
    )


def test_an_input_of_a_conversion_passes() -> None:
    """The message becomes a domain object."""
    made = checked_input(good())
    assert (made.query, made.results[0].grade) == ("red shoes", 1.0)
    assert made.searched_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def deep() -> Struct:
    """A Struct of 17 levels."""
    inner = Struct()
    for _ in range(16):
        outer = Struct()
        outer.fields["a"].struct_value.CopyFrom(inner)
        inner = outer
    return inner


WRONG = {
    "input.session_id": TrainingInput(session_id=""),
    "input.query": TrainingInput(query="q" * 4_097),
    "input.session_number": TrainingInput(session_number=-1),
    "input.searched_at": TrainingInput(searched_at=Timestamp(seconds=10**12)),
    "input.results": TrainingInput(results=[GradedResult(object_id="b")] * 1_000),
    "input.results[1].object_id": TrainingInput(results=[GradedResult()]),
    "input.results[1].position": TrainingInput(results=[GradedResult(object_id="b", position=2**32 - 1)]),
    "input.results[1].grade": TrainingInput(results=[GradedResult(object_id="b", grade=math.nan)]),
    "input.results[1].meta.a": TrainingInput(results=[GradedResult(object_id="b", meta=deep())]),
}


@pytest.mark.parametrize("field", WRONG)
def test_r7_an_input_out_of_range_is_refused_with_its_field(field: str) -> None:
    """R7: no number and no text reaches the training that it cannot work with."""
    message = good()
    message.MergeFrom(WRONG[field])
    if field == "input.session_id":
        message.session_id = ""
    with pytest.raises(InvalidArgument) as refused:
        checked_input(message)
    assert refused.value.violations[0].field.startswith(field)


@pytest.mark.parametrize("character", ["\x00", "\x1f", "\x7f", "\x80", "\x85", "\x9f"])
def test_r7_no_control_character_is_part_of_an_id(character: str) -> None:
    """R7: C0, DEL and C1 are refused alike; a letter beyond them is not."""
    message = good()
    message.session_id = f"s{character}"
    with pytest.raises(InvalidArgument, match="contains a control character"):
        checked_input(message)
    message.session_id = "s\xa1"
    assert checked_input(message).session_id == "s¡"
