"""A finished model version embeds texts."""

import json
from pathlib import Path

import pytest
import torch
from support.tiny_encoder import HIDDEN, make_tiny_encoder

from clickstream.domain.errors import FailedPrecondition
from clickstream.models.folders import VERSION_FILE
from clickstream.training.encoder.encoder import embed, load_encoder
from clickstream.training.encoder.text_embedder import TextEmbedder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A version that was trained with 8 tokens, and has a prompt for queries."""
    made = make_tiny_encoder(tmp_path)
    encoder = load_encoder(str(made), 64, "cpu")
    encoder.prompts["query"] = "best new "
    folder = tmp_path / "models" / "v-1"
    encoder.save_pretrained(str(folder), create_model_card=False)
    (folder / VERSION_FILE).write_text(json.dumps({"settings": {"max_tokens": 8}}))
    return folder


def test_texts_are_embedded_as_the_version_was_measured(folder: Path) -> None:
    """Vectors have length 1 and the order of the texts; texts get the kind's prompt and are cut at the token limit."""
    embedder = TextEmbedder(folder)
    texts = ["red shoe", "a small wooden lamp", "blue"]
    vectors = torch.tensor(embedder("query", texts))
    assert vectors.shape == (3, HIDDEN)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    encoder = load_encoder(str(folder), 8, "cuda" if torch.cuda.is_available() else "cpu")
    torch.testing.assert_close(vectors, embed(encoder, "query", texts, lambda: None).cpu())
    assert not torch.allclose(vectors, torch.tensor(embedder("item", texts)))
    cut = torch.tensor(embedder("item", ["red " * 6 + "shoe", "red " * 6 + "lamp"]))
    torch.testing.assert_close(cut[0], cut[1])


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]", b"{}", b'{"settings": {"max_tokens": null}}'])
def test_r7_a_damaged_version_file_is_refused(folder: Path, content: bytes) -> None:
    """R7: a version whose file of settings is damaged cannot be loaded, and the error names that file."""
    (folder / VERSION_FILE).write_bytes(content)
    with pytest.raises(FailedPrecondition, match=VERSION_FILE):
        TextEmbedder(folder)
