"""Checks of a training run's settings."""

from dataclasses import replace

from support.builders import NOW, training_run

from clickstream.contract.runs import settings_message
from clickstream.domain.runs import FineTuningSettings
from clickstream.servicers.checks.training_settings import checked_settings


def test_r17_settings_cross_the_wire_whole() -> None:
    """R17: the settings of a queued run arrive at the trainer as they are."""
    defaults = FineTuningSettings(base_model="other", item_template="{text}")
    for settings in (training_run().settings, replace(training_run().settings, held_out_after=None)):
        assert checked_settings(settings_message(settings), defaults) == settings


def test_r17_the_time_of_the_split_is_cut_to_what_the_store_keeps() -> None:
    """R16, R17: the time of the split is cut to milliseconds, so that a run has the same settings in the store."""
    message = settings_message(replace(training_run().settings, held_out_after=None))
    message.held_out_after.FromNanoseconds(int(NOW.timestamp()) * 10**9 + 123_999_999)
    assert checked_settings(message, training_run().settings).held_out_after == NOW.replace(microsecond=123_000)
