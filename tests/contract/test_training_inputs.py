"""Training inputs: domain objects to contract messages and back."""

from datetime import datetime

import pytest
from support.builders import NOW

from clickstream.contract.training_inputs import training_input_from, training_input_message
from clickstream.domain.training_inputs import GradedResult, TrainingInput


@pytest.mark.parametrize("searched_at", [NOW, None])
def test_r14_an_input_crosses_the_wire_whole(searched_at: datetime | None) -> None:
    """R14: an input arrives as it was converted, with and without the time of the search."""
    results = (GradedResult("a", 0, 1.5, ("e-1", "e-2"), {"title": "shoe", "sizes": [1.0, None]}),)
    converted = TrainingInput("s-1", "batch-1", 7, "red shoe", results, "test-1", searched_at)
    message = training_input_message(converted)
    assert training_input_from(type(message).FromString(message.SerializeToString())) == converted
