"""A finished model version that embeds texts."""

from collections.abc import Sequence
from pathlib import Path

import torch

from clickstream.training.encoder.encoder import embed, load_encoder
from clickstream.training.encoder.version_folder import trained_tokens


class TextEmbedder:
    """Embeds texts as the version was measured: with its prompts, cut at its token limit."""

    def __init__(self, folder: Path) -> None:
        """Loads the version in a folder. Raises FailedPrecondition if it cannot be loaded."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._encoder = load_encoder(str(folder), trained_tokens(folder), device)

    def __call__(self, kind: str, texts: Sequence[str]) -> list[list[float]]:
        """Embeds texts as unit vectors, [texts, D]; `kind` is `query` or `item`."""
        vectors: list[list[float]] = embed(self._encoder, kind, texts, lambda: None).tolist()
        return vectors
