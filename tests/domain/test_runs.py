"""Model versions as plain data, in which stores and model folders keep them."""

from dataclasses import asdict

import pytest
from support.builders import model_version

from clickstream.domain.evaluations import Gain
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import is_run_id


def test_a_plain_model_version_comes_back_whole() -> None:
    """R17: what is kept of an evaluation is all of it."""
    assert ModelVersion.from_plain(asdict(model_version())) == model_version()


def test_an_older_model_version_still_loads() -> None:
    """A version that was kept before there were segments, judgements and further intervals has none of them."""
    plain = asdict(model_version())
    for name in ("mrr_gain", "recall_gain", "recall_at_100_gain", "segments", "judged"):
        del plain["evaluation"][name]
    for name in ("base", "new"):
        del plain["evaluation"][name]["recall_at_100"]
    del plain["data"]["inputs_outside_time"]
    loaded = ModelVersion.from_plain(plain)
    assert (loaded.evaluation.judged, loaded.evaluation.segments, loaded.evaluation.mrr_gain) == (None, (), Gain())
    assert (loaded.evaluation.ndcg_gain.lower, loaded.data.inputs_outside_time) == (0.1, 0)


@pytest.mark.parametrize("text", ["r", "run-7", "a.b_C-9", "r" * 128, "7", "-", "_"])
def test_r7_a_run_id_names_a_folder(text: str) -> None:
    """R7: 1 to 128 letters, digits, `_`, `-` and `.` are a run id."""
    assert is_run_id(text)


@pytest.mark.parametrize("text", ["", ".", "..", ".hidden", "a/b", "r" * 129, "\u00e9", "a b", "a\n"])
def test_r7_what_cannot_name_a_folder_is_no_run_id(text: str) -> None:
    """R7: nor is what could hide a folder, or lead to another."""
    assert not is_run_id(text)
