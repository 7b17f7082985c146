"""The optimizer's loop; reads from top to bottom."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from clickstream.domain.runs import FineTuningSettings
from clickstream.training.data.examples import Example
from clickstream.training.data.folds import Fold
from clickstream.training.encoder.encoder import embed, with_prompt
from clickstream.training.learning.adaptation import adapt, merge, rate_groups
from clickstream.training.learning.checkpoint import Checkpoints
from clickstream.training.learning.distributed import ALONE, Group
from clickstream.training.learning.early_stopping import EarlyStopping, validation_score
from clickstream.training.learning.gradients import backward
from clickstream.training.learning.losses import LOSSES, base_shares, cross_entropy
from clickstream.training.learning.steps import Step, Steps, near_equal_queries
from clickstream.training.progress import Progress

# The acts of a query that weigh as much as keeping the base model's own ranking for it: few acts may be chance.
BASE_ACTS = 3.0

# Share of the steps in which the learning rate rises.
WARMUP_SHARE = 0.1
WEIGHT_DECAY = 0.01
MAX_GRADIENT_NORM = 1.0
STEPS_PER_CHECKPOINT = 10


class Span(NamedTuple):
    """The number of the first step of a fold, from 0, and the number of steps of the whole run."""

    first: int
    run_steps: int


def step_count_of(fold: Fold, settings: FineTuningSettings) -> int:
    """The optimizer steps of a fold."""
    return settings.epochs * Steps(fold.training, (), settings.batch_queries, settings.seed).per_epoch


def train(
    encoder: SentenceTransformer,
    fold: Fold,
    texts: Sequence[str],
    base_items: Tensor,
    settings: FineTuningSettings,
    checkpoints: Checkpoints,
    progress: Progress,
    group: Group = ALONE,
    span: Span | None = None,
) -> None:
    """Trains from the last checkpoint, or from the base model, to the end.

    Each distinct text of a step is encoded once, however many of its queries it was shown for.

    Args:
        encoder: The base model; trained in place.
        fold: The model learns from its training queries, and stops by its validation queries.
        texts: `Dataset.texts`.
        base_items: The base model's unit vectors of `texts`, [N, D].
        settings: How to train.
        checkpoints: Where the run continues from, and saves its state.
        progress: Is given every step and epoch. What it raises passes through.
        group: The processes that encode; this one leads.
        span: The place of this training's steps among those of the run; None: there are no others.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if the base model cannot be adapted as the settings say.
        Canceled: The run is canceled.
    """
    examples = fold.training
    base_queries = embed(encoder, "query", [example.query for example in examples], progress.tick)
    steps = Steps(examples, near_equal_queries(base_queries), settings.batch_queries, settings.seed)
    step_count = settings.epochs * steps.per_epoch
    adapters = adapt(encoder, settings.frozen_layers, settings.lora_rank)
    group.send(settings)
    optimizer = torch.optim.AdamW(rate_groups(encoder), weight_decay=WEIGHT_DECAY, fused=True)
    stopping = EarlyStopping(settings.early_stopping_patience)
    first = checkpoints.load(encoder, optimizer, stopping)
    _report_start(progress, first, step_count, span or Span(0, step_count))
    # In a group nothing may stop a step half-way, as the others would wait; between steps it can be canceled.
    tick = progress.tick if group.size == 1 else lambda: None

    for number in range(first, step_count):
        if stopping.is_due:
            break
        step = steps.make(number)
        loss_of = _loss_of(step, base_queries[step.queries] @ base_items[step.items].T, settings)
        step_texts = _texts_of(step, encoder, examples, texts)
        optimizer.zero_grad()
        loss = backward(encoder, step_texts, loss_of, tick, group)
        learning_rate = settings.learning_rate * schedule(number, step_count)
        _update(optimizer, learning_rate)
        done = number + 1
        # Before the checkpoint: points beyond it are dropped and recorded again, so no step is missing.
        progress.after_step(loss, learning_rate, len(step.queries))
        if stopping.patience and done % steps.per_epoch == 0:
            stopping.after_epoch(validation_score(encoder, fold.validation, texts, progress.tick), encoder)
            progress.report_metrics(stopping.metrics())
        if done % STEPS_PER_CHECKPOINT == 0 or done == step_count or stopping.is_due:
            checkpoints.save(encoder, optimizer, stopping, done)
    stopping.restore_best(encoder)
    merge(adapters)


def _report_start(progress: Progress, first: int, step_count: int, span: Span) -> None:
    # A fold that ended before the run was killed has nothing to report; its points in the curve stay.
    if first < step_count or span.first + step_count == span.run_steps:
        progress.start_training(span.first + first, span.run_steps)


def _texts_of(step: Step, encoder: SentenceTransformer, examples: Sequence[Example], texts: Sequence[str]) -> list[str]:
    """The texts of a step with their prompts: those of its queries, then those of its items."""
    queries = [with_prompt(encoder, "query", examples[query].query) for query in step.queries]
    return queries + [with_prompt(encoder, "item", texts[item]) for item in step.items]


def _loss_of(step: Step, base_cosines: Tensor, settings: FineTuningSettings) -> Callable[[Tensor], Tensor]:
    """The loss of a step over the unit vectors of its Q queries and N items, [Q + N, D].

    The base model's ranking is a prior of `BASE_ACTS` acts, which its own softmax shares among the items.
    """
    labels = step.labels.to(base_cosines.device)
    base = base_shares(base_cosines, labels.allowed, settings.temperature)
    acts = step.acts.to(base_cosines.device)
    believed = acts / (acts + BASE_ACTS)
    clicked = LOSSES[settings.loss]

    def loss_of(vectors: Tensor) -> Tensor:
        queries, items = vectors[: len(acts)], vectors[len(acts) :]
        learn = clicked(queries, items, labels, settings.temperature)
        keep = cross_entropy(queries @ items.T / settings.temperature, base, labels.allowed)
        return (believed * learn + (1 - believed) * keep).mean()

    return loss_of


def _update(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Makes one optimizer step; gradients are clipped together, and `times` multiplies each group's learning rate."""
    groups = optimizer.param_groups
    torch.nn.utils.clip_grad_norm_([weight for group in groups for weight in group["params"]], MAX_GRADIENT_NORM)
    for group in groups:
        group["lr"] = learning_rate * group["times"]
    optimizer.step()


def schedule(step: int, step_count: int) -> float:
    """The share of the peak learning rate at a step: it rises and then falls to 0, both linearly.

    Args:
        step: The number of the step, from 0.
        step_count: All steps of the run; the first `WARMUP_SHARE` of them warm up.
    """
    warmup = max(1.0, WARMUP_SHARE * step_count)
    return min((step + 1) / warmup, (step_count - step) / step_count)
