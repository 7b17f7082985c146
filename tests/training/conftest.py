"""Training in the process of its tests takes one thread: the encoder is too small to share out."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Leaves the other cores to the tests beside this one."""
    import torch

    torch.set_num_threads(1)
