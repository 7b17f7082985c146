"""Model versions: domain objects to contract messages and back."""

from dataclasses import replace

import pytest
from support.builders import model_version

from clickstream.contract.models import model_version_from, model_version_message


@pytest.mark.parametrize("judged", [True, False])
def test_r17_a_model_version_crosses_the_wire_whole(judged: bool) -> None:
    """R17: every number of a version and its evaluation arrives as it was measured, with and without judgements."""
    version = model_version()
    if not judged:
        version = replace(version, evaluation=replace(version.evaluation, judged=None, segments=()))
    message = model_version_message(version)
    assert model_version_from(type(message).FromString(message.SerializeToString())) == version
