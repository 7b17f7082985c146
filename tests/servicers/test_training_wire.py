"""Inputs and settings on the wire (R14, R16, R17)."""

from dataclasses import replace
from datetime import datetime

import pytest
from builders import NOW, training_run

from clickstream.converter import GradedResult, TrainingInput
from clickstream.runs import FineTuningSettings
from clickstream.servicers import training_wire


@pytest.mark.parametrize("searched_at", [NOW, None])
def test_r14_an_input_crosses_the_wire_whole(searched_at: datetime | None) -> None:
    """R14: the fine-tuning module gets what was converted, the time of the search included where there is one."""
    results = (GradedResult("a", 0, 1.5, ("e-1", "e-2"), {"title": "shoe", "sizes": [1.0, None]}),)
    converted = TrainingInput("s-1", "batch-1", 7, "red shoe", results, "test-1", searched_at)
    message = training_wire.training_input(converted)
    assert training_wire.training_input_from(type(message).FromString(message.SerializeToString())) == converted


def test_r17_settings_cross_the_wire_whole() -> None:
    """R17: what the run was queued with is what the fine-tuning module gets."""
    defaults = FineTuningSettings(base_model="other", item_template="{text}")
    for settings in (training_run().settings, replace(training_run().settings, held_out_after=None)):
        assert training_wire.settings(training_wire.settings_message(settings), defaults) == settings


def test_r17_the_time_of_the_split_is_cut_to_what_the_store_keeps() -> None:
    """R16: a run that is taken up again from the store has the same settings."""
    message = training_wire.settings_message(replace(training_run().settings, held_out_after=None))
    message.held_out_after.FromNanoseconds(int(NOW.timestamp()) * 10**9 + 123_999_999)
    assert training_wire.settings(message, training_run().settings).held_out_after == NOW.replace(microsecond=123_000)
