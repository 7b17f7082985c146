"""Model versions as plain data, in which stores and model folders keep them."""

from dataclasses import asdict

from support.builders import model_version

from clickstream.domain.evaluations import Gain
from clickstream.domain.model_versions import ModelVersion


def test_a_plain_model_version_comes_back_whole() -> None:
    """R17: an evaluation is read back whole."""
    assert ModelVersion.from_plain(asdict(model_version())) == model_version()


def test_an_older_model_version_still_loads() -> None:
    """A version stored without segments, judgements and further intervals is read back without them."""
    plain = asdict(model_version())
    for name in ("mrr_gain", "recall_gain", "recall_at_100_gain", "segments", "judged"):
        del plain["evaluation"][name]
    for name in ("base", "new"):
        del plain["evaluation"][name]["recall_at_100"]
    del plain["data"]["inputs_outside_time"]
    loaded = ModelVersion.from_plain(plain)
    assert (loaded.evaluation.judged, loaded.evaluation.segments, loaded.evaluation.mrr_gain) == (None, (), Gain())
    assert (loaded.evaluation.ndcg_gain.lower, loaded.data.inputs_outside_time) == (0.1, 0)
