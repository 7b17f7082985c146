from pathlib import Path

import pytest
import torch
from support.tiny_encoder import make_tiny_encoder

torch.set_num_threads(1)  # the encoder is too small to share out


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny encoder in sentence-transformers format."""
    return make_tiny_encoder(tmp_path_factory.mktemp("tiny"))
