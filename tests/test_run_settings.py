"""The settings of a training run: domain, contract and checks have the same fields."""

from dataclasses import fields

from embedding_studio.clickstream.v1.fine_tuning_settings_pb2 import FineTuningSettings as Message

from clickstream.domain.runs import FineTuningSettings
from clickstream.servicers.checks.training_settings import CHOICES, RANGES

# Fields with a check of their own: texts, which have a longest length, and a time.
OTHERS = {"base_model", "item_template", "held_out_after"}


def test_the_contract_has_every_setting_of_a_run() -> None:
    """A field stands in the contract and in the domain, or in neither."""
    assert set(Message.DESCRIPTOR.fields_by_name) == {field.name for field in fields(FineTuningSettings)}


def test_every_setting_of_a_run_is_checked() -> None:
    """A field without a check would also be dropped: the checks copy what the client sent."""
    assert sorted([*RANGES, *CHOICES, *OTHERS]) == sorted(Message.DESCRIPTOR.fields_by_name)
