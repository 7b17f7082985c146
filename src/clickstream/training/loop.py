"""The training loop, from inputs to a model version; reads from top to bottom."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from clickstream.converter import TrainingInput
from clickstream.errors import FailedPrecondition, FieldViolation, InvalidArgument
from clickstream.evaluations import Evaluation
from clickstream.judgements import JudgedQuery
from clickstream.runs import FineTuningSettings, ModelVersion, Phase, TrainingProgress, is_version_id, version_id
from clickstream.training.adaptation import adapt, merge, rate_groups
from clickstream.training.checkpoint import Checkpoints
from clickstream.training.curve import CURVE_FILE, Curve, read_curve
from clickstream.training.dataset import Dataset, read_dataset
from clickstream.training.distributed import ALONE, Group, device, join
from clickstream.training.early_stopping import EarlyStopping, validation_score
from clickstream.training.evaluation import evaluate, judge, mean, score
from clickstream.training.gradients import backward
from clickstream.training.judged import JudgedSet, compare_judged, judged_set
from clickstream.training.losses import LOSSES, base_shares, cross_entropy
from clickstream.training.model import embed, load_encoder, with_prompt
from clickstream.training.progress import Canceled, Progress
from clickstream.training.segments import by_segment
from clickstream.training.steps import Step, Steps, near_equal_queries
from clickstream.training.version import identity, load_version, save_version, version_folder

__all__ = ["Canceled", "fine_tune"]

BASE_ACTS = 3.0
"""So many acts of a query weigh as much as keeping the base model's own ranking for it: few acts may be chance."""

WARMUP_SHARE = 0.1
WEIGHT_DECAY = 0.01
MAX_GRADIENT_NORM = 1.0
STEPS_PER_CHECKPOINT = 10


class Trained(NamedTuple):
    """A trained encoder, how it measured, and whether the gate promotes it, and why."""

    encoder: SentenceTransformer
    evaluation: Evaluation
    promoted: bool
    gate_reason: str


def fine_tune(
    run_id: str,
    settings: FineTuningSettings,
    inputs: Iterable[TrainingInput],
    judged: Sequence[JudgedQuery] = (),
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
        judged: Both models are also measured on these; they never train.
        data_dir: Holds checkpoints, `runs/<run_id>/`, and models, `models/<model_version_id>/`.
        report: Called from this thread, about twice a second where a step or a chunk of texts allows it.
        is_canceled: Asked with every input, step and encoded chunk.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if these settings and inputs cannot train a model.
        InvalidArgument: The run id could not name a folder.
        Canceled: `is_canceled` answered true.
    """
    _check_run_id(run_id)
    curve_path = data_dir / "runs" / run_id / CURVE_FILE
    progress = Progress(report, is_canceled, Curve(curve_path))
    dataset = read_dataset(progress.count_inputs(inputs), settings)
    judgements = judged_set(judged, dataset, dataset.rows)
    training_identity = identity(dataset.fingerprint, settings, judgements.judgements_sha256 if judgements else "")
    model_folder = data_dir / "models" / version_id(run_id, training_identity)
    checkpoints = Checkpoints(data_dir / "runs" / run_id, training_identity)
    finished = load_version(model_folder)
    if finished is not None:
        progress.recall(read_curve(model_folder / CURVE_FILE))
        checkpoints.delete()
        return finished

    started_from = replace(settings, base_model=_base_model(settings.base_model, data_dir))
    with _deterministic(settings.seed):
        trained = train_and_judge(dataset, started_from, checkpoints, progress, judgements)
    progress.enter(Phase.SAVING)
    version = _version(run_id, model_folder, settings, dataset, trained)
    save_version(trained.encoder, version, settings, curve_path)
    checkpoints.delete()
    return version


def _base_model(name: str, data_dir: Path) -> str:
    """The folder of a model version, or the name of another base model as it is.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if the version does not lie here: a hub does not have it either.
    """
    folder = version_folder(data_dir, name)
    if folder is None and is_version_id(name):
        raise FailedPrecondition(
            "TRAINING_IMPOSSIBLE",
            f"model version {name!r} does not lie on the machine that trains, in {data_dir / 'models'}; "
            "let all servers and workers name one trainer, or share its data folder",
        )
    return str(folder or name)


def _version(
    run_id: str, folder: Path, settings: FineTuningSettings, dataset: Dataset, trained: Trained
) -> ModelVersion:
    return ModelVersion(
        model_version_id=folder.name,
        run_id=run_id,
        path=str(folder),
        base_model=settings.base_model,
        batch_ids=dataset.batch_ids,
        policy_version=dataset.policy_version,
        data_fingerprint=dataset.fingerprint,
        data=dataset.counts,
        evaluation=trained.evaluation,
        promoted=trained.promoted,
        gate_reason=trained.gate_reason,
        created_at=datetime.now(UTC),
        click_models=dataset.click_models,
        parent_model_version_id=settings.base_model if is_version_id(settings.base_model) else "",
    )


def train_and_judge(
    dataset: Dataset,
    settings: FineTuningSettings,
    checkpoints: Checkpoints,
    progress: Progress,
    judgements: JudgedSet | None = None,
) -> Trained:
    """Measures the base model, trains it and measures it again on the same held-out and judged queries."""
    encoder = load_encoder(settings.base_model, settings.max_tokens, device())
    progress.enter(Phase.EVALUATING_BASE)
    items = embed(encoder, "item", dataset.texts, progress.tick)
    base_scores = evaluate(encoder, dataset, items, progress.tick)
    progress.measured(mean(base_scores).named("base"))
    judged_examples = judgements.examples if judgements else []
    base_judged = score(encoder, judged_examples, items, progress.tick)
    train(encoder, dataset, items, settings, checkpoints, progress, join())
    progress.enter(Phase.EVALUATING_NEW)
    items = embed(encoder, "item", dataset.texts, progress.tick)
    new_scores = evaluate(encoder, dataset, items, progress.tick)
    progress.measured(mean(new_scores).named("new"))
    new_judged = score(encoder, judged_examples, items, progress.tick)
    segments = by_segment(dataset, base_scores, new_scores, settings.seed)
    judged = compare_judged(judgements, base_judged, new_judged, settings.seed) if judgements else None
    return Trained(encoder, *judge(base_scores, new_scores, settings.seed, segments, judged))


def train(
    encoder: SentenceTransformer,
    dataset: Dataset,
    base_items: Tensor,
    settings: FineTuningSettings,
    checkpoints: Checkpoints,
    progress: Progress,
    group: Group = ALONE,
) -> None:
    """Runs the optimizer from the last checkpoint, or from the base model, to the end.

    Each distinct text of a step is encoded once, however many of its queries it was shown for.

    Args:
        encoder: The base model; trained in place.
        dataset: Its training part is learned.
        base_items: The base model's unit vectors of `dataset.texts`, [N, D].
        settings: How to train.
        checkpoints: Where the run goes on from.
        progress: Told of every chunk and step.
        group: Who encodes; this process leads.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if the base model cannot be adapted as the settings say.
    """
    examples = dataset.training
    base_queries = embed(encoder, "query", [example.query for example in examples], progress.tick)
    steps = Steps(examples, near_equal_queries(base_queries), settings.batch_queries, settings.seed)
    step_count = settings.epochs * steps.per_epoch
    adapters = adapt(encoder, settings.frozen_layers, settings.lora_rank)
    group.send(settings)
    optimizer = torch.optim.AdamW(rate_groups(encoder), weight_decay=WEIGHT_DECAY, fused=True)
    stopping = EarlyStopping(settings.early_stopping_patience)
    first = checkpoints.load(encoder, optimizer, stopping)
    progress.start_training(first, step_count)
    # With others in the middle of a step nothing may stop it; between steps it can always be canceled.
    tick = progress.tick if group.size == 1 else lambda: None

    for number in range(first, step_count):
        if stopping.is_due:
            break
        step = steps.make(number)
        loss_of = _loss_of(step, base_queries[step.queries] @ base_items[step.items].T, settings)
        texts = [with_prompt(encoder, "query", examples[query].query) for query in step.queries]
        texts += [with_prompt(encoder, "item", dataset.texts[item]) for item in step.items]
        optimizer.zero_grad()
        loss = backward(encoder, texts, loss_of, tick, group)
        learning_rate = settings.learning_rate * schedule(number, step_count)
        _update(optimizer, learning_rate)
        done = number + 1
        # Before the checkpoint: what a run logs beyond it is dropped and logged again, so no step is missing.
        progress.after_step(loss, learning_rate, len(step.queries))
        if stopping.patience and done % steps.per_epoch == 0:
            stopping.after_epoch(validation_score(encoder, dataset, progress.tick), encoder)
            progress.measured(stopping.metrics())
        if done % STEPS_PER_CHECKPOINT == 0 or done == step_count or stopping.is_due:
            checkpoints.save(encoder, optimizer, stopping, done)
    stopping.restore_best(encoder)
    merge(adapters)


def _loss_of(step: Step, base_cosines: Tensor, settings: FineTuningSettings) -> Callable[[Tensor], Tensor]:
    """The loss of a step over the unit vectors of its Q queries and N items, [Q + N, D].

    The base model's ranking is a prior of `BASE_ACTS` acts, shared out by its own softmax.
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
    """One step along the gradients, clipped together, with each group's own multiple of the learning rate."""
    groups = optimizer.param_groups
    torch.nn.utils.clip_grad_norm_([weight for group in groups for weight in group["params"]], MAX_GRADIENT_NORM)
    for group in groups:
        group["lr"] = learning_rate * group["times"]
    optimizer.step()


def schedule(step: int, step_count: int) -> float:
    """Share of the peak learning rate: linear warm-up over `WARMUP_SHARE` of the steps, then linear to 0."""
    warmup = max(1.0, WARMUP_SHARE * step_count)
    return min((step + 1) / warmup, (step_count - step) / step_count)


def _check_run_id(run_id: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", run_id) or run_id in {".", ".."}:
        raise InvalidArgument([FieldViolation("run_id", "1 to 128 letters, digits, `_`, `-` or `.`")])


@contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    """The same operations in the same order give the same bits; the setting before comes back afterwards."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, CUDA's matrix products may differ
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Else every result's memory is filled with NaN before it is written; nothing here reads unwritten memory.
    memory = cast(Any, torch.utils.deterministic)  # its type stub is empty
    filled, memory.fill_uninitialized_memory = memory.fill_uninitialized_memory, False
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = filled
