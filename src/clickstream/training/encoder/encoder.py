"""Loads encoders, and encodes texts with them."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from clickstream.domain.errors import FailedPrecondition, Reason
from clickstream.training.asking import may_go_on

# The most padded tokens that are encoded at once; it bounds memory.
CHUNK_TOKENS = 2_048

# Padded tokens that are enough for fast matrix products: beyond them a chunk takes only texts of like length.
FULL_CHUNK_TOKENS = 1_024

# Texts are of like length up to this many times the shortest of their chunk.
LIKE_LENGTH = 1.1

TEXTS_COUNTED_AT_ONCE = 1_024

# The names under which encoders keep the words that go before a query or an item.
PROMPTS = {"query": ("query",), "item": ("document", "passage", "corpus")}


def load_encoder(name: str, max_tokens: int, device: str) -> SentenceTransformer:
    """Loads a folder in sentence-transformers or transformers format (mean pooling then), or a model name.

    A folder is read without any network call. Dropout is off, also while training: with few queries and
    a small learning rate it only adds noise.

    Args:
        name: Folder, or a model name that the training machine resolves.
        max_tokens: Longer texts are cut. If the encoder's own limit is lower, that one counts.
        device: `cpu`, or `cuda` with or without a number.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if there is no such model or it cannot be loaded.
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
    except Exception as error:  # a foreign folder can make the libraries raise anything
        raise FailedPrecondition(
            Reason.TRAINING_IMPOSSIBLE, f"base model {name!r} cannot be loaded: {error}"
        ) from error
    if not probe.is_floating_point():
        raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, f"base model {name!r} gives no vectors")
    encoder.max_seq_length = min(max_tokens, _token_limit(encoder))
    _own_memory(encoder)
    return encoder.float().eval()


def _own_memory(encoder: SentenceTransformer) -> None:
    """Copies the weights, which the libraries map from the file.

    If the file were shortened later, this process would end with SIGBUS; if it were overwritten, the loaded model would
    change.
    """
    with torch.no_grad():
        for weight in [*encoder.parameters(), *encoder.buffers()]:
            weight.data = weight.data.clone()


def with_prompt(encoder: SentenceTransformer, kind: str, text: str) -> str:
    """Puts the encoder's prompt before a text: models such as E5 need a word before queries and items.

    Args:
        encoder: Its own prompts are used; without one, the text stays as it is.
        kind: `query` or `item`.
        text: The text.
    """
    prompts = [encoder.prompts.get(name) or "" for name in PROMPTS[kind]]
    return next(filter(None, prompts), "") + text


def chunks(encoder: SentenceTransformer, texts: Sequence[str], processes: int = 1) -> Iterator[list[int]]:
    """Groups the texts by length, so that little is computed for padding, and yields the indices of each group.

    A group has at most `CHUNK_TOKENS` padded tokens, and few enough that every process gets a group if there are
    enough texts.
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
    """Counts the tokens that the encoder takes of each text, cut at its limit; a guess for unusual tokenizers."""
    limit = encoder.max_seq_length or CHUNK_TOKENS
    if not isinstance(encoder.tokenizer, PreTrainedTokenizerBase):
        # A word piece is three bytes or more in about every script; a wrong guess costs padding, nothing else.
        return [min(limit, len(text.encode()) // 3 + 2) for text in texts]
    counts: list[int] = []
    for start in range(0, len(texts), TEXTS_COUNTED_AT_ONCE):
        may_go_on()
        block = list(texts[start : start + TEXTS_COUNTED_AT_ONCE])
        counts += map(len, encoder.tokenizer(block, truncation=True, max_length=limit)["input_ids"])
    return counts


def tokenise(encoder: SentenceTransformer, texts: Sequence[str]) -> dict[str, Tensor]:
    """Tokenises texts, which already have their prompts, on the encoder's device."""
    return _on(encoder.device, encoder.preprocess(list(texts)))


def encode(encoder: SentenceTransformer, tokens: dict[str, Tensor]) -> Tensor:
    """Encodes tokenised texts as unit vectors, [texts, D], with gradients where they are enabled.

    On CUDA the encoder runs in bfloat16; the vectors are float32 everywhere.
    """
    device = encoder.device.type
    with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        vectors: Tensor = encoder(dict(tokens))["sentence_embedding"]
    return torch.nn.functional.normalize(vectors.float(), dim=1)


def graph_bytes_per_token(encoder: SentenceTransformer) -> int:
    """Estimates the bytes that the graph of one token takes in a BERT-like encoder: 0.15 MB for MiniLM.

    A layer keeps eight vectors of the hidden size (input, query, key, value, attention, two sums, output) and
    two of the inner size (before and after the activation), of 4 bytes per number.
    """
    config = getattr(getattr(encoder[0], "auto_model", None), "config", None)
    hidden = getattr(config, "hidden_size", None) or encoder.get_embedding_dimension() or 1
    inner = getattr(config, "intermediate_size", None) or 4 * hidden
    return 4 * (getattr(config, "num_hidden_layers", None) or 12) * (8 * hidden + 2 * inner)


@torch.no_grad()
def embed(encoder: SentenceTransformer, kind: str, texts: Sequence[str], tick: Callable[[], None]) -> Tensor:
    """Encodes all texts as unit vectors, [N, D], without gradients.

    Args:
        encoder: Encodes.
        kind: `query` or `item`, for the prompt.
        texts: Without their prompts, N.
        tick: Called after every chunk of texts; what it raises passes through.
    """
    prompted = [with_prompt(encoder, kind, text) for text in texts]
    vectors = torch.empty(len(texts), encoder.get_embedding_dimension() or 0, device=encoder.device)
    for group in chunks(encoder, prompted):
        vectors[group] = encode(encoder, tokenise(encoder, [prompted[index] for index in group]))
        tick()
    return vectors


def _token_limit(encoder: SentenceTransformer) -> int:
    transformer = getattr(encoder[0], "auto_model", None)
    limits = (
        getattr(encoder.tokenizer, "model_max_length", None),  # 1e30 if the tokenizer has no limit
        getattr(getattr(transformer, "config", None), "max_position_embeddings", None),
    )
    return min([8_192, *(int(limit) for limit in limits if isinstance(limit, int | float) and limit > 0)])


def _on(device: torch.device, features: dict[str, object]) -> dict[str, Tensor]:
    """Moves the tensors to a device; preprocessing also returns values that are not tensors."""
    return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in features.items()}  # type: ignore[misc]
