"""Computes the gradient of one loss over the vectors of many texts, in bounded memory and by several processes."""

import itertools
from collections.abc import Callable, Sequence

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from clickstream.training.encoder.encoder import chunks, encode, graph_bytes_per_token, tokenise
from clickstream.training.learning.adaptation import learnable
from clickstream.training.learning.distributed import ALONE, Group

# How large the graph may be that is kept through a step. Texts beyond it are encoded twice, which costs time.
LIVE_BYTES = 3 * 1024**3


def backward(
    encoder: SentenceTransformer,
    texts: Sequence[str],
    loss_of: Callable[[Tensor], Tensor],
    tick: Callable[[], None],
    group: Group = ALONE,
) -> float:
    """Adds the gradient of a loss over the vectors of all texts to the encoder's gradient.

    Args:
        encoder: Encodes; its `learnable` parameters get the gradient.
        texts: With their prompts, N.
        loss_of: From the vectors of all texts, [N, D], to a scalar.
        tick: Called after every chunk of texts. What it raises passes through, but it must not raise in a group of
            several processes.
        group: The processes that share the texts; this one leads.

    Returns:
        The loss.
    """
    groups = list(chunks(encoder, texts, group.size))
    order = torch.tensor([index for indices in groups for index in indices])
    losses: list[float] = []

    def gradient_of(encoded: Tensor) -> Tensor:
        vectors = torch.empty_like(encoded)
        vectors[order] = encoded
        loss = loss_of(vectors.requires_grad_())
        losses.append(float(loss.detach()))
        [gradient] = torch.autograd.grad(loss, [vectors])
        return gradient[order]

    parts = [[texts[index] for index in indices] for indices in groups]
    group.send(parts)
    backpropagate_parts(encoder, parts, gradient_of, tick, group)
    return losses[0]


def backpropagate_parts(
    encoder: SentenceTransformer,
    parts: Sequence[Sequence[str]],
    gradient_of: Callable[[Tensor], Tensor],
    tick: Callable[[], None],
    group: Group,
) -> None:
    """Encodes this process's share of the parts, and backpropagates the gradient of their vectors to the weights.

    The first `LIVE_BYTES` of graph are kept. The rest is encoded without gradients, the loss is
    differentiated down to all vectors, and each part is encoded again to backpropagate its share of that
    gradient to the weights: the exact gradient, for at most a third more work. Source: Gao et al., "Scaling deep
    contrastive learning batch size under memory limited setup" (GradCache), RepL4NLP 2021.

    Args:
        encoder: Afterwards it has the leader's weights; the leader's encoder has the sum of all processes' gradients.
        parts: The N texts in chunks; this process takes every `group.size`-th chunk.
        gradient_of: From all vectors in the order of the parts, [N, D], to their gradient. For the leader only.
        tick: Called after every chunk that is encoded.
        group: The processes that share the parts.
    """
    weights = list(learnable(encoder).values())
    group.broadcast(weights)
    ends = [0, *itertools.accumulate(map(len, parts))]
    vectors = torch.zeros(ends[-1], encoder.get_embedding_dimension() or 0, device=encoder.device)
    room = LIVE_BYTES // graph_bytes_per_token(encoder)
    own = {number: tokenise(encoder, parts[number]) for number in range(group.rank, len(parts), group.size)}
    live: dict[int, Tensor] = {}
    for number, tokens in own.items():
        room -= tokens["input_ids"].numel()
        with torch.set_grad_enabled(room >= 0):
            encoded = encode(encoder, tokens)
        if room >= 0:
            live[number] = encoded
        vectors[ends[number] : ends[number + 1]] = encoded.detach()
        tick()
    group.add_up([vectors])
    gradient = gradient_of(vectors) if group.rank == 0 else torch.zeros_like(vectors)
    group.broadcast([gradient])
    for number, tokens in own.items():
        encoded = live.pop(number) if number in live else encode(encoder, tokens)
        encoded.backward(gradient[ends[number] : ends[number + 1]])  # type: ignore[no-untyped-call]
        tick()
    for weight in weights:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)  # this process had no share
    group.add_up(weight.grad for weight in weights if weight.grad is not None)
