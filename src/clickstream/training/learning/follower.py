"""A training process that is not the first: it encodes its share of the texts that the leader sends."""

import signal

import torch

from clickstream.domain.runs import FineTuningSettings
from clickstream.training.encoder.encoder import load_encoder
from clickstream.training.learning.adaptation import adapt
from clickstream.training.learning.distributed import device, join
from clickstream.training.learning.gradients import backpropagate_parts


def follow() -> None:
    """Follows the leader until it ends. An error ends this process, and then torchrun ends the group.

    SIGTERM and SIGINT are ignored: the leader drains first, and then ends its followers.
    """
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_IGN)
    torch.use_deterministic_algorithms(True)
    group = join()
    while (message := group.receive()) is not None:
        if isinstance(message, FineTuningSettings):
            encoder = load_encoder(message.base_model, message.max_tokens, device())
            adapt(encoder, message.frozen_layers, message.lora_rank)
        else:
            encoder.zero_grad()
            backpropagate_parts(encoder, message, torch.zeros_like, lambda: None, group)
    group.leave()
