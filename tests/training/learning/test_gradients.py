from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from support.shop_log import WANTED

from clickstream.training.encoder import encoder as encoder_module
from clickstream.training.encoder.encoder import encode, load_encoder, tokenise
from clickstream.training.learning import gradients
from clickstream.training.learning.adaptation import adapt, learnable
from clickstream.training.learning.distributed import Group
from clickstream.training.learning.gradients import backpropagate_parts, backward

TEXTS = [f"{word} shoe" for word in WANTED.values()] * 3

# Bytes of one token's graph: two layers of hidden size 32 and inner size 64.
TOKEN_BYTES = 4 * 2 * (8 * 32 + 2 * 64)


def loss_of(vectors: torch.Tensor) -> torch.Tensor:
    """A loss that depends on every vector and on their order."""
    return (vectors[:5] @ vectors[5:].T).exp().sum()


@pytest.fixture
def gradient(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], torch.Tensor]:
    """The gradient of `loss_of`, given the bytes of live graph and the tokens of a chunk."""

    def gradient(live_bytes: int, chunk_tokens: int) -> torch.Tensor:
        monkeypatch.setattr(gradients, "LIVE_BYTES", live_bytes)
        monkeypatch.setattr(encoder_module, "CHUNK_TOKENS", chunk_tokens)
        encoder = load_encoder(str(tiny_encoder), 16, "cpu")
        adapt(encoder, frozen_layers=0, lora_rank=0)
        backward(encoder, TEXTS, loss_of, lambda: None)
        return torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None])

    return gradient


def test_the_gradient_equals_that_of_plain_autograd(
    gradient: Callable[[int, int], torch.Tensor], tiny_encoder: Path
) -> None:
    """Chunks that are sorted by length have the gradient of all texts encoded at once."""
    encoder = load_encoder(str(tiny_encoder), 16, "cpu")
    loss_of(encode(encoder, tokenise(encoder, TEXTS))).backward()
    whole = torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None])
    assert whole.abs().max() > 0
    assert torch.allclose(gradient(2**30, 40), whole, rtol=1e-3, atol=1e-5)


def test_r17_the_gradient_does_not_depend_on_memory(gradient: Callable[[int, int], torch.Tensor]) -> None:
    """R17: chunks that are encoded twice have bitwise the same gradient as those whose graph is kept."""
    kept = gradient(2**30, 40)
    assert torch.equal(gradient(0, 40), kept)
    assert torch.equal(gradient(80 * TOKEN_BYTES, 40), kept)


def test_the_memory_of_the_graph_is_bounded(
    gradient: Callable[[int, int], torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Graphs are kept up to `LIVE_BYTES`; the other chunks are encoded twice."""
    graphs: list[bool] = []
    plain = gradients.encode

    def encode(*args: object) -> torch.Tensor:
        graphs.append(torch.is_grad_enabled())
        return plain(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(gradients, "encode", encode)
    gradient(0, 40)
    chunks = len(graphs) // 2
    assert graphs == [False] * chunks + [True] * chunks
    graphs.clear()
    gradient(2**30, 40)
    assert graphs == [True] * chunks
    graphs.clear()
    gradient(80 * TOKEN_BYTES, 40)
    assert 0 < graphs[:chunks].count(False) < chunks


@dataclass(frozen=True, slots=True)
class SecondOfTwo(Group):
    """The second of two processes, alone in a test: it records what it would add up with the leader."""

    rank: int = 1
    size: int = 2
    added: list[list[torch.Size]] = field(default_factory=list)

    def broadcast(self, tensors: Iterable[torch.Tensor]) -> None:
        """Changes nothing: the leader's tensors are the same."""

    def add_up(self, tensors: Iterable[torch.Tensor]) -> None:
        """Records the shapes of the tensors."""
        self.added.append([tensor.shape for tensor in tensors])


@pytest.mark.parametrize("parts", [[["red shoe"]], [["red shoe"], ["blue shoe"]]], ids=["no share", "a share"])
def test_every_process_adds_up_the_gradient_of_every_weight(tiny_encoder: Path, parts: list[list[str]]) -> None:
    """A process without a share of the texts sends zeros: the leader waits for each weight from each process."""
    encoder = load_encoder(str(tiny_encoder), 16, "cpu")
    adapt(encoder, frozen_layers=0, lora_rank=0)
    group = SecondOfTwo()
    encoder.zero_grad()
    backpropagate_parts(encoder, parts, torch.zeros_like, lambda: None, group)
    [vectors, gradients_of_weights] = group.added
    assert vectors == [(len(parts), 32)]
    assert gradients_of_weights == [weight.shape for weight in learnable(encoder).values()]
