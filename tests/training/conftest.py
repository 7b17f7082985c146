from pathlib import Path

import pytest
import torch
from support.fine_tuning_runs import fine_tune_shop_log
from support.shop_log import tiny_settings
from support.tiny_encoder import make_tiny_encoder

from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import FineTuningSettings

torch.set_num_threads(1)  # the encoder is too small for several threads


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny encoder in sentence-transformers format."""
    return make_tiny_encoder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def settings(tiny_encoder: Path) -> FineTuningSettings:
    """Settings that train the tiny encoder."""
    return tiny_settings(str(tiny_encoder))


@pytest.fixture(scope="session")
def finished(settings: FineTuningSettings, tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    """An uninterrupted run."""
    return fine_tune_shop_log(tmp_path_factory.mktemp("finished"), settings)
