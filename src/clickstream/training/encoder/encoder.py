"""Encoders: loading, embedding, and writing a finished model folder."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from clickstream.domain.errors import FailedPrecondition, Reason

CHUNK_TOKENS = 2_048
"""Most padded tokens that are encoded at once, for little memory."""

FULL_CHUNK_TOKENS = 1_024
"""Padded tokens that are enough for fast matrix products: from here on only texts of like length join."""

LIKE_LENGTH = 1.1
"""A text this many times as long as the shortest of a chunk is of like length."""

TEXTS_COUNTED_AT_ONCE = 1_024

PROMPTS = {"query": ("query",), "item": ("document", "passage", "corpus")}
"""Under which names encoders keep the words that go before a query or an item."""


def load_encoder(name: str, max_tokens: int, device: str) -> SentenceTransformer:
    """Loads a folder in sentence-transformers or transformers format (mean pooling then), or a model name.

    A folder is read without any network call. Dropout is off, also while training: with few queries and
    a small learning rate it only adds noise.

    Args:
        name: Folder, or a model name that the training machine resolves.
        max_tokens: Longer texts are cut; the encoder's own limit counts if it is lower.
        device: `cpu`, or `cuda` with or without a number.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, with what went wrong.
    """
    if not name:
        raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, "no base model is named or configured")
    is_folder = Path(name).is_dir()
    if not is_folder and (name.startswith(("/", ".", "~")) or name.count("/") > 1):
        raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, f"base model {name!r}: there is no such folder")
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        encoder = SentenceTransformer(name, device=device, local_files_only=is_folder)
        probe = encoder(tokenise(encoder, ["a"]))["sentence_embedding"]
    except Exception as error:  # whatever a foreign folder makes a library raise, it cannot be trained
        raise FailedPrecondition(
            Reason.TRAINING_IMPOSSIBLE, f"base model {name!r} cannot be loaded: {error}"
        ) from error
    if not probe.is_floating_point():
        raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, f"base model {name!r} gives no vectors")
    encoder.max_seq_length = min(max_tokens, _token_limit(encoder))
    return encoder.float().eval()


def with_prompt(encoder: SentenceTransformer, kind: str, text: str) -> str:
    """The text as the encoder wants it: models such as E5 put a word before queries and items."""
    prompts = [encoder.prompts.get(name) or "" for name in PROMPTS[kind]]
    return next(filter(None, prompts), "") + text


def chunks(encoder: SentenceTransformer, texts: Sequence[str], processes: int = 1) -> Iterator[list[int]]:
    """Indices of the texts in groups of about equal length, so that little is computed for padding.

    A group has at most `CHUNK_TOKENS` padded tokens, and few enough that each of the processes has a group,
    where there are texts enough.
    """
    lengths = token_counts(encoder, texts)
    most = min(CHUNK_TOKENS, math.ceil(sum(lengths) / processes))
    group: list[int] = []
    for index in sorted(range(len(texts)), key=lambda index: (lengths[index], index)):
        is_full = lengths[index] * (len(group) + 1) > most
        is_longer = bool(group) and lengths[index] > LIKE_LENGTH * lengths[group[0]]
        if group and (is_full or (is_longer and lengths[group[-1]] * len(group) >= FULL_CHUNK_TOKENS)):
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def token_counts(encoder: SentenceTransformer, texts: Sequence[str]) -> list[int]:
    """How many tokens the encoder takes of each text."""
    limit = encoder.max_seq_length or CHUNK_TOKENS
    if not isinstance(encoder.tokenizer, PreTrainedTokenizerBase):
        # A word piece is three bytes or more in about every script; a wrong guess costs padding, nothing else.
        return [min(limit, len(text.encode()) // 3 + 2) for text in texts]
    counts: list[int] = []
    for start in range(0, len(texts), TEXTS_COUNTED_AT_ONCE):
        block = list(texts[start : start + TEXTS_COUNTED_AT_ONCE])
        counts += map(len, encoder.tokenizer(block, truncation=True, max_length=limit)["input_ids"])
    return counts


def tokenise(encoder: SentenceTransformer, texts: Sequence[str]) -> dict[str, Tensor]:
    """What the encoder takes, on its device, of texts that have their prompts."""
    return _on(encoder.device, encoder.preprocess(list(texts)))


def encode(encoder: SentenceTransformer, tokens: dict[str, Tensor]) -> Tensor:
    """Unit vectors of tokenised texts, [number of texts, D], with gradients where enabled.

    On CUDA the encoder runs in bfloat16; the vectors are float32 everywhere.
    """
    device = encoder.device.type
    with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        vectors: Tensor = encoder(dict(tokens))["sentence_embedding"]
    return torch.nn.functional.normalize(vectors.float(), dim=1)


def graph_bytes_per_token(encoder: SentenceTransformer) -> int:
    """About what the graph of one token takes in a BERT-like encoder: 0.15 MB for MiniLM.

    A layer keeps eight vectors of the hidden size (input, query, key, value, attention, two sums, output) and
    two of the inner size (before and after the activation), of 4 bytes per number.
    """
    config = getattr(getattr(encoder[0], "auto_model", None), "config", None)
    hidden = getattr(config, "hidden_size", None) or encoder.get_embedding_dimension() or 1
    inner = getattr(config, "intermediate_size", None) or 4 * hidden
    return 4 * (getattr(config, "num_hidden_layers", None) or 12) * (8 * hidden + 2 * inner)


@torch.no_grad()
def embed(encoder: SentenceTransformer, kind: str, texts: Sequence[str], tick: Callable[[], None]) -> Tensor:
    """Unit vectors of all texts, [len(texts), D], without gradients; `tick` is called after every chunk."""
    prompted = [with_prompt(encoder, kind, text) for text in texts]
    vectors = torch.empty(len(texts), encoder.get_embedding_dimension() or 0, device=encoder.device)
    for group in chunks(encoder, prompted):
        vectors[group] = encode(encoder, tokenise(encoder, [prompted[index] for index in group]))
        tick()
    return vectors


def _token_limit(encoder: SentenceTransformer) -> int:
    transformer = getattr(encoder[0], "auto_model", None)
    limits = (
        getattr(encoder.tokenizer, "model_max_length", None),  # 1e30 where the tokenizer does not know
        getattr(getattr(transformer, "config", None), "max_position_embeddings", None),
    )
    return min([8_192, *(int(limit) for limit in limits if isinstance(limit, int | float) and limit > 0)])


def _on(device: torch.device, features: dict[str, object]) -> dict[str, Tensor]:
    """Preprocessing also returns notes that are no tensors; they pass through."""
    return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in features.items()}  # type: ignore[misc]
