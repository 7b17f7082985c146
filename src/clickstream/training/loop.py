"""The training loop, from inputs to a model version; reads from top to bottom."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from clickstream.converter import TrainingInput
from clickstream.errors import FieldViolation, InvalidArgument
from clickstream.runs import Evaluation, FineTuningSettings, ModelVersion, Phase, TrainingProgress
from clickstream.training.checkpoint import Checkpoints
from clickstream.training.dataset import Dataset, read_dataset
from clickstream.training.evaluation import evaluate, judge
from clickstream.training.losses import listwise_softmax, with_base_shares
from clickstream.training.model import chunks, embed, embed_chunk, load_encoder, with_prompt
from clickstream.training.progress import Canceled, Progress
from clickstream.training.steps import Steps, near_equal_queries
from clickstream.training.version import identity, load_version, save_version, version_folder, version_id

__all__ = ["Canceled", "fine_tune"]

BASE_WEIGHT = 0.3
"""How much of the target is the base model's own ranking; benchmarks/README.md says what it saves."""

WARMUP_SHARE = 0.1
WEIGHT_DECAY = 0.01
MAX_GRADIENT_NORM = 1.0
LIVE_CHUNKS = 2
"""Chunks of texts whose graph is kept through a step: the memory that a step takes."""

STEPS_PER_CHECKPOINT = 10


def fine_tune(
    run_id: str,
    settings: FineTuningSettings,
    inputs: Iterable[TrainingInput],
    *,
    data_dir: Path,
    report: Callable[[TrainingProgress], None],
    is_canceled: Callable[[], bool],
) -> ModelVersion:
    """Trains, measures and saves one model.

    The result is a function of inputs and settings on the same machine, also when the run was killed and
    called again: it goes on from its last checkpoint. A finished run returns its model version again.

    Args:
        run_id: 1 to 128 letters, digits, `_`, `-` or `.`; names the checkpoints and the model version.
        settings: How to train.
        inputs: Read once, in order.
        data_dir: Holds checkpoints, `runs/<run_id>/`, and models, `models/<model_version_id>/`.
        report: Called from this thread, about twice a second where a step or a chunk of texts allows it.
        is_canceled: Asked with every input, step and encoded chunk.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if these settings and inputs cannot train a model.
        InvalidArgument: The run id could not name a folder.
        Canceled: `is_canceled` answered true.
    """
    _check_run_id(run_id)
    progress = Progress(report, is_canceled)
    dataset = read_dataset(progress.count_inputs(inputs), settings)
    training_identity = identity(dataset.fingerprint, settings)
    model_version_id = version_id(run_id, training_identity)
    model_folder = data_dir / "models" / model_version_id
    checkpoints = Checkpoints(data_dir / "runs" / run_id, training_identity)
    finished = load_version(model_folder)
    if finished is not None:
        checkpoints.delete()
        return finished

    parent = settings.base_model if version_folder(data_dir, settings.base_model) else ""
    base_model = str(version_folder(data_dir, settings.base_model) or settings.base_model)
    with _deterministic(settings.seed):
        started_from = replace(settings, base_model=base_model)
        encoder, evaluation, promoted, reason = train_and_judge(dataset, started_from, checkpoints, progress)
    progress.enter(Phase.SAVING)
    version = ModelVersion(
        model_version_id=model_version_id,
        run_id=run_id,
        path=str(model_folder),
        base_model=settings.base_model,
        batch_ids=dataset.batch_ids,
        policy_version=dataset.policy_version,
        data_fingerprint=dataset.fingerprint,
        data=dataset.counts,
        evaluation=evaluation,
        promoted=promoted,
        gate_reason=reason,
        created_at=datetime.now(UTC),
        parent_model_version_id=parent,
    )
    save_version(encoder, version, settings)
    checkpoints.delete()
    return version


def train_and_judge(
    dataset: Dataset, settings: FineTuningSettings, checkpoints: Checkpoints, progress: Progress
) -> tuple[SentenceTransformer, Evaluation, bool, str]:
    """Measures the base model, trains it and measures it again on the same held-out queries.

    Returns:
        The trained encoder, the evaluation, whether it is promoted, and why.
    """
    encoder = load_encoder(settings.base_model, settings.max_tokens, _device())
    progress.enter(Phase.EVALUATING_BASE)
    items = embed(encoder, "item", dataset.texts, progress.tick)
    base_scores = evaluate(encoder, dataset, items, progress.tick)
    train(encoder, dataset, items, settings, checkpoints, progress)
    progress.enter(Phase.EVALUATING_NEW)
    items = embed(encoder, "item", dataset.texts, progress.tick)
    new_scores = evaluate(encoder, dataset, items, progress.tick)
    return encoder, *judge(base_scores, new_scores, settings.seed)


def train(
    encoder: SentenceTransformer,
    dataset: Dataset,
    base_items: Tensor,
    settings: FineTuningSettings,
    checkpoints: Checkpoints,
    progress: Progress,
) -> None:
    """Runs the optimizer from the last checkpoint, or from the base model, to the end.

    Args:
        encoder: The base model; trained in place.
        dataset: Its training part is learned.
        base_items: The base model's unit vectors of `dataset.texts`, [N, D].
        settings: How to train.
        checkpoints: Where the run goes on from.
        progress: Told of every chunk and step.
    """
    examples = dataset.training
    base_queries = embed(encoder, "query", [example.query for example in examples], progress.tick)
    steps = Steps(examples, near_equal_queries(base_queries), settings.batch_queries, settings.seed)
    step_count = settings.epochs * steps.per_epoch
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=settings.learning_rate, weight_decay=WEIGHT_DECAY)
    first = checkpoints.load(encoder, optimizer)
    progress.start_training(first, step_count)

    for number in range(first, step_count):
        step = steps.make(number)
        allowed, targets = step.allowed.to(encoder.device), step.targets.to(encoder.device)
        base_cosines = base_queries[step.queries] @ base_items[step.items].T
        targets = with_base_shares(targets, base_cosines, allowed, settings.temperature, BASE_WEIGHT)

        def loss_of(vectors: Tensor, targets: Tensor = targets, allowed: Tensor = allowed) -> Tensor:
            queries, items = vectors[: len(targets)], vectors[len(targets) :]
            return listwise_softmax(queries, items, targets, allowed, settings.temperature)

        texts = [with_prompt(encoder, "query", examples[query].query) for query in step.queries]
        texts += [with_prompt(encoder, "item", dataset.texts[item]) for item in step.items]
        optimizer.zero_grad()
        loss = backward(encoder, texts, loss_of, progress.tick)
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), MAX_GRADIENT_NORM)
        learning_rate = settings.learning_rate * schedule(number, step_count)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.step()

        if (number + 1) % STEPS_PER_CHECKPOINT == 0 or number + 1 == step_count:
            checkpoints.save(encoder, optimizer, number + 1)
        progress.after_step(loss, learning_rate, len(step.queries))


def backward(
    encoder: SentenceTransformer,
    texts: Sequence[str],
    loss_of: Callable[[Tensor], Tensor],
    tick: Callable[[], None],
) -> float:
    """Adds the gradient of a loss over all texts' vectors, with memory for a few chunks of texts only.

    The first `LIVE_CHUNKS` chunks keep their graph. The others are encoded without gradients, the loss is
    differentiated down to all vectors, and each of them is encoded again to carry its share of that
    gradient into the weights: the exact gradient, for at most a third more work. Source: Gao et al.,
    "Scaling deep contrastive learning batch size under memory limited setup" (GradCache), RepL4NLP 2021.
    """
    groups = list(chunks(encoder, texts))
    vectors = torch.empty(len(texts), encoder.get_embedding_dimension() or 0, device=encoder.device)
    live: dict[int, Tensor] = {}
    for number, group in enumerate(groups):
        with torch.set_grad_enabled(number < LIVE_CHUNKS):
            encoded = embed_chunk(encoder, [texts[index] for index in group])
        if number < LIVE_CHUNKS:
            live[number] = encoded
        vectors[group] = encoded.detach()
        tick()
    vectors.requires_grad_()
    loss = loss_of(vectors)
    loss.backward()  # type: ignore[no-untyped-call]
    gradient = vectors.grad
    for number, group in enumerate(groups):
        again = live.pop(number, None)
        if again is None:
            again = embed_chunk(encoder, [texts[index] for index in group])
        again.backward(gradient[group] if gradient is not None else None)  # type: ignore[no-untyped-call]
        tick()
    return float(loss.detach())


def schedule(step: int, step_count: int) -> float:
    """Share of the peak learning rate: linear warm-up over `WARMUP_SHARE` of the steps, then linear to 0."""
    warmup = max(1.0, WARMUP_SHARE * step_count)
    return min((step + 1) / warmup, (step_count - step) / step_count)


def _check_run_id(run_id: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", run_id) or run_id in {".", ".."}:
        raise InvalidArgument([FieldViolation("run_id", "1 to 128 letters, digits, `_`, `-` or `.`")])


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    """The same operations in the same order give the same bits; the setting before comes back afterwards."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, CUDA's matrix products may differ
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
