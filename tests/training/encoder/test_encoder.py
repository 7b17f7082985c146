from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer
from support.tiny_encoder import HIDDEN, make_tiny_transformer

from clickstream.domain.errors import FailedPrecondition
from clickstream.training.encoder import encoder as encoder_module
from clickstream.training.encoder.encoder import CHUNK_TOKENS, chunks, embed, load_encoder, token_counts, with_prompt


def test_both_formats_are_loaded(tiny_encoder: Path, tmp_path: Path) -> None:
    """A transformers folder gets mean pooling, and a sentence-transformers folder keeps its own pooling."""
    plain = load_encoder(str(make_tiny_transformer(tmp_path / "plain")), 16, "cpu")
    whole = load_encoder(str(tiny_encoder), 16, "cpu")
    one, other = (embed(encoder, "item", ["red shoe", "blue lamp"], lambda: None) for encoder in (plain, whole))
    assert one.shape == (2, HIDDEN)
    assert torch.allclose(one, other, atol=1e-6)
    assert torch.allclose(one.norm(dim=1), torch.ones(2), atol=1e-6)


@pytest.mark.parametrize(("asked", "given"), [(16, 16), (5_000, 64)])
def test_token_limit_is_the_lower_of_asked_and_possible(tiny_encoder: Path, asked: int, given: int) -> None:
    """A setting beyond the encoder's own limit is lowered to it."""
    assert load_encoder(str(tiny_encoder), asked, "cpu").max_seq_length == given


@pytest.mark.parametrize("name", ["", "/no/such/folder", "./none", "a/b/c"])
def test_a_missing_base_model_is_refused(name: str) -> None:
    """The refusal names the model."""
    with pytest.raises(FailedPrecondition) as caught:
        load_encoder(name, 16, "cpu")
    assert caught.value.reason == "TRAINING_IMPOSSIBLE"
    assert name in caught.value.message


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    """An error of the libraries becomes a refusal with a reason."""
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FailedPrecondition, match="cannot be loaded"):
        load_encoder(str(tmp_path), 16, "cpu")


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    """A cut weights file is refused, and does not crash the process."""
    folder = make_tiny_transformer(tmp_path / "plain")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(FailedPrecondition, match="cannot be loaded"):
        load_encoder(str(folder), 16, "cpu")


def test_prompts_of_the_encoder_are_used(tiny_encoder: Path) -> None:
    """The encoder's own prompts go before queries and items."""
    encoder = load_encoder(str(tiny_encoder), 16, "cpu")
    encoder.prompts = {"query": "query: ", "passage": "passage: "}
    assert with_prompt(encoder, "query", "shoe") == "query: shoe"
    assert with_prompt(encoder, "item", "shoe") == "passage: shoe"
    encoder.prompts = {"query": "", "document": ""}
    assert with_prompt(encoder, "query", "shoe") == "shoe"


def test_chunks_have_every_text_once_and_respect_the_limit(tiny_encoder: Path) -> None:
    """No chunk has more padded tokens than `CHUNK_TOKENS`, for texts of any length."""
    encoder = load_encoder(str(tiny_encoder), 64, "cpu")
    texts = ["red shoe " * (number % 40) for number in range(500)]
    groups = list(chunks(encoder, texts))
    assert sorted(index for group in groups for index in group) == list(range(500))
    assert len(groups) > 1
    for group in groups:
        padded = encoder.preprocess([texts[index] for index in group])["input_ids"].numel()
        assert padded <= CHUNK_TOKENS


def test_a_chunk_has_texts_of_like_length(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least nine tenths of the encoded tokens are no padding."""
    monkeypatch.setattr(encoder_module, "FULL_CHUNK_TOKENS", 100)
    encoder = load_encoder(str(tiny_encoder), 64, "cpu")
    texts = ["red shoe " * (number % 25) for number in range(500)]
    padded = real = 0
    for group in chunks(encoder, texts):
        mask = encoder.preprocess([texts[index] for index in group])["attention_mask"]
        padded, real = padded + mask.numel(), real + int(mask.sum())
    assert real / padded > 0.9


def test_every_process_has_a_chunk(tiny_encoder: Path) -> None:
    """Few texts are split so that each of 1, 2 or 4 processes gets a chunk."""
    encoder = load_encoder(str(tiny_encoder), 64, "cpu")
    texts = ["red shoe"] * 16
    assert len(list(chunks(encoder, texts))) == 1
    assert len(list(chunks(encoder, texts, processes=2))) == 2
    assert len(list(chunks(encoder, texts, processes=4))) == 4


def test_tokens_are_counted_as_the_encoder_cuts_them(tiny_encoder: Path) -> None:
    """Counts include the marks at both ends, and stop at the limit."""
    encoder = load_encoder(str(tiny_encoder), 8, "cpu")
    assert token_counts(encoder, ["red", "red shoe", "red " * 50]) == [3, 4, 8]


def test_a_vector_does_not_depend_on_the_other_texts(tiny_encoder: Path) -> None:
    """Vectors have the order of the texts, and are those of each text alone."""
    encoder = load_encoder(str(tiny_encoder), 64, "cpu")
    texts = ["red " * (1 + number % 50) + "shoe" for number in range(300)]
    together = embed(encoder, "item", texts, lambda: None)
    for index in (0, 7, 49, 299):
        alone = embed(encoder, "item", [texts[index]], lambda: None)[0]
        assert torch.allclose(together[index], alone, atol=1e-5)


def test_the_tiny_encoder_is_the_same_every_time(tiny_encoder: Path, tmp_path: Path) -> None:
    """The tiny encoder has the same weights every time it is made, which tests of determinism need."""
    again = SentenceTransformer(str(make_tiny_transformer(tmp_path / "plain")), device="cpu")
    first = SentenceTransformer(str(tiny_encoder), device="cpu")
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), first.parameters(), strict=True))


def test_a_local_model_needs_no_network(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading and saving a local model tries no connection."""
    tried: list[object] = []

    def connect(_: object, address: object) -> None:
        tried.append(address)
        raise OSError("no network")

    monkeypatch.setattr("socket.socket.connect", connect)
    monkeypatch.setattr("socket.getaddrinfo", lambda host, *_, **__: connect(None, host))
    for folder in (tiny_encoder, make_tiny_transformer(tmp_path / "plain")):
        encoder = load_encoder(str(folder), 16, "cpu")
        encoder.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    assert tried == []
