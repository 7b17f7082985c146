from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer

from clickstream.domain.errors import FailedPrecondition
from clickstream.training.encoder.encoder import embed, load_encoder
from clickstream.training.learning.adaptation import EMBEDDING_RATE, adapt, learnable, merge, rate_groups

TEXTS = ["red shoe", "warm cotton jacket for men"]


@pytest.fixture
def encoder(tiny_encoder: Path) -> SentenceTransformer:
    """An encoder with two layers, and a pooler that its vectors do not use."""
    return load_encoder(str(tiny_encoder), 16, "cpu")


def vectors(encoder: SentenceTransformer) -> torch.Tensor:
    """The vectors of the texts."""
    return embed(encoder, "item", TEXTS, lambda: None)


def test_by_default_everything_that_the_vectors_use_learns(encoder: SentenceTransformer) -> None:
    """All weights learn but those of the pooler, which the vectors do not use."""
    assert adapt(encoder, frozen_layers=0, lora_rank=0) is None
    names = learnable(encoder).keys()
    frozen = {name for name, _ in encoder.named_parameters()} - names
    assert frozen
    assert all("pooler" in name for name in frozen)
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_token_embeddings_learn_faster(encoder: SentenceTransformer) -> None:
    """Every weight that learns is in one group, and only token embeddings have the higher rate."""
    adapt(encoder, frozen_layers=0, lora_rank=0)
    rest, tokens = rate_groups(encoder)
    assert (rest["times"], tokens["times"]) == (1.0, EMBEDDING_RATE)
    assert tokens["params"] == [encoder[0].auto_model.get_input_embeddings().weight]
    assert len(rest["params"]) + 1 == len(learnable(encoder))


@pytest.mark.parametrize("settings", [{"frozen_layers": 1, "lora_rank": 0}, {"frozen_layers": 0, "lora_rank": 2}])
def test_where_token_embeddings_do_not_learn_there_is_one_rate(
    encoder: SentenceTransformer, settings: dict[str, int]
) -> None:
    """With frozen layers or adapters token embeddings do not learn, and all other weights have the same rate."""
    adapt(encoder, **settings)
    [group] = rate_groups(encoder)
    assert (group["times"], len(group["params"])) == (1.0, len(learnable(encoder)))


def test_frozen_layers_are_the_lowest_with_the_embeddings(encoder: SentenceTransformer) -> None:
    """Of two layers only the upper one learns."""
    adapt(encoder, frozen_layers=1, lora_rank=0)
    names = learnable(encoder).keys()
    assert names
    assert all(".layer.1." in name for name in names)


@pytest.mark.parametrize("count", [2, 1_000])
def test_r16_freezing_every_layer_is_refused(encoder: SentenceTransformer, count: int) -> None:
    """R16: at least one layer must learn; the refusal names the number of layers."""
    with pytest.raises(FailedPrecondition, match="has 2 layers"):
        adapt(encoder, frozen_layers=count, lora_rank=0)


def test_adapters_change_nothing_until_they_learn(encoder: SentenceTransformer) -> None:
    """New adapters leave the vectors as they are, and only the adapters learn."""
    before = vectors(encoder)
    adapt(encoder, frozen_layers=0, lora_rank=2)
    assert torch.allclose(vectors(encoder), before, atol=1e-6)
    assert all("lora_" in name for name in learnable(encoder))
    shapes = {name: tuple(each.shape) for name, each in learnable(encoder).items()}
    assert all(2 in shape for shape in shapes.values())


def test_merged_adapters_are_in_the_weights(encoder: SentenceTransformer, tiny_encoder: Path, tmp_path: Path) -> None:
    """The saved folder has the base model's tensors and no others, and yields the adapted vectors."""
    adapters = adapt(encoder, frozen_layers=1, lora_rank=2)
    with torch.no_grad():
        for parameter in learnable(encoder).values():
            parameter.add_(0.1)
    adapted = vectors(encoder)
    merge(adapters)
    encoder.save_pretrained(str(tmp_path), create_model_card=False)
    base, saved = (load_file(folder / "model.safetensors") for folder in (tiny_encoder, tmp_path))
    assert saved.keys() == base.keys()
    changed = {name for name in base if not torch.equal(base[name], saved[name])}
    assert changed
    assert all(".layer.1." in name and name.endswith("weight") for name in changed)
    again = load_encoder(str(tmp_path), 16, "cpu")
    assert torch.allclose(vectors(again), adapted, atol=1e-5)


def test_r16_an_encoder_that_is_no_transformer_has_no_adapters(tiny_encoder: Path) -> None:
    """R16: adapters are refused for a model that is no transformer, and the refusal names the setting."""
    plain = SentenceTransformer(modules=[torch.nn.Identity()], device="cpu")
    with pytest.raises(FailedPrecondition, match="lora_rank"):
        adapt(plain, frozen_layers=0, lora_rank=2)
