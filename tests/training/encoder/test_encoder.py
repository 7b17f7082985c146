import json
from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer
from support.tiny_encoder import HIDDEN, make_tiny_transformer

from clickstream.domain.errors import FailedPrecondition
from clickstream.models.atomic_folder import write_folder
from clickstream.training.encoder import encoder as encoder_module
from clickstream.training.encoder.encoder import CHUNK_TOKENS, chunks, embed, load_encoder, token_counts, with_prompt


def test_loads_both_formats(tiny_encoder: Path, tmp_path: Path) -> None:
    """A transformers folder gets mean pooling, a sentence-transformers folder keeps its own."""
    plain = load_encoder(str(make_tiny_transformer(tmp_path / "plain")), 16, "cpu")
    whole = load_encoder(str(tiny_encoder), 16, "cpu")
    one, other = (embed(encoder, "item", ["red shoe", "blue lamp"], lambda: None) for encoder in (plain, whole))
    assert one.shape == (2, HIDDEN)
    assert torch.allclose(one, other, atol=1e-6)
    assert torch.allclose(one.norm(dim=1), torch.ones(2), atol=1e-6)


@pytest.mark.parametrize(("asked", "given"), [(16, 16), (5_000, 64)])
def test_token_limit_is_the_lower_of_asked_and_possible(tiny_encoder: Path, asked: int, given: int) -> None:
    """More tokens than the encoder has places for are not tried."""
    assert load_encoder(str(tiny_encoder), asked, "cpu").max_seq_length == given


@pytest.mark.parametrize("name", ["", "/no/such/folder", "./none", "a/b/c"])
def test_a_missing_base_model_is_refused(name: str) -> None:
    """The message names the model that was asked for."""
    with pytest.raises(FailedPrecondition) as caught:
        load_encoder(name, 16, "cpu")
    assert caught.value.reason == "TRAINING_IMPOSSIBLE"
    assert name in caught.value.message


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    """Whatever the libraries raise becomes one clear refusal."""
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FailedPrecondition, match="cannot be loaded"):
        load_encoder(str(tmp_path), 16, "cpu")


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    """A cut file is a refusal, not a crash."""
    folder = make_tiny_transformer(tmp_path / "plain")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(FailedPrecondition, match="cannot be loaded"):
        load_encoder(str(folder), 16, "cpu")


def test_prompts_of_the_encoder_are_used(tiny_encoder: Path) -> None:
    """Models that put a word before queries and items (E5) are trained with it."""
    encoder = load_encoder(str(tiny_encoder), 16, "cpu")
    encoder.prompts = {"query": "query: ", "passage": "passage: "}
    assert with_prompt(encoder, "query", "shoe") == "query: shoe"
    assert with_prompt(encoder, "item", "shoe") == "passage: shoe"
    encoder.prompts = {"query": "", "document": ""}
    assert with_prompt(encoder, "query", "shoe") == "shoe"


def test_chunks_hold_every_text_once_and_respect_the_limit(tiny_encoder: Path) -> None:
    """Memory is bounded by padded tokens, whatever the lengths."""
    encoder = load_encoder(str(tiny_encoder), 64, "cpu")
    texts = ["red shoe " * (number % 40) for number in range(500)]
    groups = list(chunks(encoder, texts))
    assert sorted(index for group in groups for index in group) == list(range(500))
    assert len(groups) > 1
    for group in groups:
        padded = encoder.preprocess([texts[index] for index in group])["input_ids"].numel()
        assert padded <= CHUNK_TOKENS


def test_chunks_are_of_like_length(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is computed for padding: a chunk that is full enough takes no longer text."""
    monkeypatch.setattr(encoder_module, "FULL_CHUNK_TOKENS", 100)
    encoder = load_encoder(str(tiny_encoder), 64, "cpu")
    texts = ["red shoe " * (number % 25) for number in range(500)]
    padded = real = 0
    for group in chunks(encoder, texts):
        mask = encoder.preprocess([texts[index] for index in group])["attention_mask"]
        padded, real = padded + mask.numel(), real + int(mask.sum())
    assert real / padded > 0.9


def test_every_process_has_a_chunk(tiny_encoder: Path) -> None:
    """Few texts are shared out too."""
    encoder = load_encoder(str(tiny_encoder), 64, "cpu")
    texts = ["red shoe"] * 16
    assert len(list(chunks(encoder, texts))) == 1
    assert len(list(chunks(encoder, texts, processes=2))) == 2
    assert len(list(chunks(encoder, texts, processes=4))) == 4


def test_tokens_are_counted_as_the_encoder_takes_them(tiny_encoder: Path) -> None:
    """Cut at the limit, with the marks at both ends."""
    encoder = load_encoder(str(tiny_encoder), 8, "cpu")
    assert token_counts(encoder, ["red", "red shoe", "red " * 50]) == [3, 4, 8]


def test_embedding_does_not_depend_on_the_company(tiny_encoder: Path) -> None:
    """Order is kept though texts are grouped by length, and padding changes nothing."""
    encoder = load_encoder(str(tiny_encoder), 64, "cpu")
    texts = ["red " * (1 + number % 50) + "shoe" for number in range(300)]
    together = embed(encoder, "item", texts, lambda: None)
    for index in (0, 7, 49, 299):
        alone = embed(encoder, "item", [texts[index]], lambda: None)[0]
        assert torch.allclose(together[index], alone, atol=1e-5)


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """A failure while filling leaves nothing behind; a success leaves only the folder."""
    target = tmp_path / "models" / "m1"

    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        assert not target.exists()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_folder(target, fail)
    assert list(target.parent.iterdir()) == []

    write_folder(target, lambda folder: (folder / "a.json").write_text(json.dumps(1)) and None)
    assert [path.name for path in target.parent.iterdir()] == ["m1"]
    assert (target / "a.json").read_text() == "1"


def test_the_tiny_encoder_is_the_same_every_time(tiny_encoder: Path, tmp_path: Path) -> None:
    """Tests of determinism need a base model that is itself deterministic."""
    again = SentenceTransformer(str(make_tiny_transformer(tmp_path / "plain")), device="cpu")
    first = SentenceTransformer(str(tiny_encoder), device="cpu")
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), first.parameters(), strict=True))


def test_a_folder_needs_no_network(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading and saving a local model opens no connection, not even one that fails quietly."""
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
