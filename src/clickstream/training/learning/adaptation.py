"""Chooses the parameters of an encoder that learn: all that its vectors use, those of its upper layers, or adapters."""

from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from sentence_transformers import SentenceTransformer
from transformers import PreTrainedModel

from clickstream.domain.errors import FailedPrecondition, Reason
from clickstream.training.encoder.encoder import tokenise

# How many times as fast as the rest token embeddings learn: a token only moves in the steps in which it occurs.
EMBEDDING_RATE = 40.0

# The factor on what adapters add: `lora_alpha` divided by the rank.
LORA_SCALE = 2


def adapt(encoder: SentenceTransformer, frozen_layers: int, lora_rank: int) -> PeftModel | None:
    """Sets requires_grad: as the settings say, and off for parameters that the embedding does not use.

    Args:
        encoder: Changed in place.
        frozen_layers: How many of the lowest layers keep their weights, with everything below them.
        lora_rank: Above 0, every linear layer W that is not frozen becomes W + scale * B A, where only A and
            B, of this rank, learn. Source: Hu et al., "LoRA: Low-rank adaptation of large language
            models", ICLR 2022.

    Returns:
        The adapters, for `merge`; None if `lora_rank` is 0.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if the encoder has no such layers, or none would be left to learn.
    """
    adapters = None
    if lora_rank:
        config = LoraConfig(r=lora_rank, lora_alpha=LORA_SCALE * lora_rank, target_modules="all-linear")
        transformer = getattr(encoder[0], "auto_model", None)
        if not isinstance(transformer, PreTrainedModel):
            raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, "lora_rank: the base model is not a transformer")
        adapters = cast(PeftModel, get_peft_model(transformer, config))
    if frozen_layers:
        _freeze_below(encoder, frozen_layers)
    _freeze_unused(encoder)
    return adapters


def merge(adapters: PeftModel | None) -> None:
    """Adds what the adapters learned to the weights of their encoder, and removes them; None does nothing."""
    if adapters is not None:
        adapters.merge_and_unload()


def learnable(encoder: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Returns the parameters that learn, by name."""
    return {name: parameter for name, parameter in encoder.named_parameters() if parameter.requires_grad}


def rate_groups(encoder: SentenceTransformer) -> list[dict[str, Any]]:
    """Groups the parameters that learn for an optimizer; each group's learning rate is multiplied by its `times`.

    Token embeddings learn faster, so that the meaning of a word that the base model does not know is learned in its
    tokens' vectors, for all queries with that word, rather than in the layers, for one query. Source: larger steps
    for what occurs seldom as in Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and
    stochastic optimization", JMLR 2011; docs/training.md has the measurements behind `EMBEDDING_RATE`.
    """
    transformer = getattr(encoder[0], "auto_model", None)
    embeddings = transformer.get_input_embeddings().parameters() if isinstance(transformer, PreTrainedModel) else ()
    fast = {id(parameter) for parameter in embeddings}
    groups = [
        {"times": times, "params": [each for each in learnable(encoder).values() if (id(each) in fast) == is_fast]}
        for times, is_fast in ((1.0, False), (EMBEDDING_RATE, True))
    ]
    return [group for group in groups if group["params"]]


def _freeze_below(encoder: SentenceTransformer, count: int) -> None:
    """Freezes everything before layer `count`, counted from 0; its outputs then need no graph."""
    config = getattr(getattr(encoder[0], "auto_model", None), "config", None)
    depth = getattr(config, "num_hidden_layers", 0)
    stacks = [
        name
        for name, module in encoder.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth
    ]
    if not stacks or count >= depth:
        raise FailedPrecondition(
            Reason.TRAINING_IMPOSSIBLE, f"frozen_layers {count}: the base model has {depth} layers, and one must learn"
        )
    for name, parameter in encoder.named_parameters():  # in the order in which they are applied
        if name.startswith(f"{stacks[0]}.{count}."):
            return
        parameter.requires_grad_(False)


def _freeze_unused(encoder: SentenceTransformer) -> None:
    """Freezes what gets no gradient (an encoder's own pooler, say): it need not be kept, sent or saved."""
    encoder(tokenise(encoder, ["a"]))["sentence_embedding"].sum().backward()
    for parameter in encoder.parameters():
        parameter.requires_grad_(parameter.grad is not None)
    encoder.zero_grad()
