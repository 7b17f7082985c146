"""The training loop, from inputs to a model version; reads from top to bottom."""

import math
import os
import random
import re
import time
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
from clickstream.runs import FineTuningSettings, ModelVersion, Phase, TrainingProgress
from clickstream.training.checkpoint import Checkpoints
from clickstream.training.dataset import Dataset, Example, read_dataset
from clickstream.training.evaluation import evaluate, judge
from clickstream.training.losses import listwise_softmax, targets_and_allowed
from clickstream.training.model import chunks, embed, embed_chunk, load_encoder, with_prompt
from clickstream.training.version import identity, load_version, save_version, version_id

ITEMS_PER_QUERY = 8
"""Shown items of a query that enter a step: the best half by target, the rest drawn anew in every epoch."""

NEAR_EQUAL = 0.9
"""Cosine of the base model's vectors from which two queries count as asking for the same."""

WARMUP_SHARE = 0.1
WEIGHT_DECAY = 0.01
MAX_GRADIENT_NORM = 1.0
LIVE_CHUNKS = 2
"""Chunks of texts whose graph is kept through a step: the memory that a step takes."""

STEPS_PER_CHECKPOINT = 10
SECONDS_PER_REPORT = 0.5


class Canceled(Exception):
    """The caller no longer wants the model; the checkpoints stay."""


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
    called again: it goes on from its last checkpoint under `data_dir/runs/<run_id>/`. A run that already
    finished returns its model version, which lies under `data_dir/models/<model_version_id>/`.

    Args:
        run_id: 1 to 128 letters, digits, `_`, `-` or `.`; names the checkpoints and the model version.
        settings: How to train.
        inputs: Read once, in order.
        data_dir: Where checkpoints and models are kept.
        report: Called from this thread, about twice a second where a step or a chunk of texts allows it.
        is_canceled: Asked with every input, step and encoded chunk.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if these settings and inputs cannot train a model.
        InvalidArgument: The run id could not name a folder.
        Canceled: `is_canceled` answered true.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", run_id) or run_id in {".", ".."}:
        raise InvalidArgument([FieldViolation("run_id", "1 to 128 letters, digits, `_`, `-` or `.`")])
    progress = _Progress(report, is_canceled)
    dataset = read_dataset(progress.count_inputs(inputs), settings)

    training_identity = identity(dataset.fingerprint, settings)
    model_version_id = version_id(run_id, training_identity)
    model_folder = data_dir / "models" / model_version_id
    checkpoints = Checkpoints(data_dir / "runs" / run_id, training_identity)
    finished = load_version(model_folder)
    if finished is not None:
        checkpoints.delete()
        return finished

    with _deterministic(settings.seed):
        encoder = load_encoder(settings.base_model, settings.max_tokens, _device())
        progress.enter(Phase.EVALUATING_BASE)
        base_scores = evaluate(encoder, dataset, progress.tick)
        train(encoder, dataset, settings, checkpoints, progress)
        progress.enter(Phase.EVALUATING_NEW)
        new_scores = evaluate(encoder, dataset, progress.tick)
    evaluation, promoted, reason = judge(base_scores, new_scores, settings.seed)

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
    )
    save_version(encoder, version, settings)
    checkpoints.delete()
    return version


def train(
    encoder: SentenceTransformer,
    dataset: Dataset,
    settings: FineTuningSettings,
    checkpoints: Checkpoints,
    progress: "_Progress",
) -> None:
    """Runs the optimizer from the last checkpoint, or from the base model, to the end."""
    examples = dataset.training
    neighbours = near_equal_queries(embed(encoder, "query", [e.query for e in examples], progress.tick))
    steps_per_epoch = math.ceil(len(examples) / settings.batch_queries)
    step_count = settings.epochs * steps_per_epoch
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=settings.learning_rate, weight_decay=WEIGHT_DECAY)
    first_step = checkpoints.load(encoder, optimizer)
    progress.start_training(first_step, step_count)

    for step in range(first_step, step_count):
        epoch, place = divmod(step, steps_per_epoch)
        # Order and drawn items depend on seed and epoch alone, so that a resumed run goes on exactly.
        order = list(range(len(examples)))
        random.Random(f"{settings.seed} {epoch}").shuffle(order)
        batch = order[place * settings.batch_queries : (place + 1) * settings.batch_queries]
        drawn = [draw_items(examples[index], random.Random(f"{settings.seed} {epoch} {index}")) for index in batch]
        items = sorted({item for row in drawn for item in row})
        targets, allowed = targets_and_allowed(
            items,
            [examples[index].targets for index in batch],
            [[examples[other].targets for other in neighbours[index]] for index in batch],
        )
        targets, allowed = targets.to(encoder.device), allowed.to(encoder.device)

        def loss_of(vectors: Tensor, targets: Tensor = targets, allowed: Tensor = allowed) -> Tensor:
            queries, candidates = vectors[: len(targets)], vectors[len(targets) :]
            return listwise_softmax(queries, candidates, targets, allowed, settings.temperature)

        texts = [with_prompt(encoder, "query", examples[index].query) for index in batch]
        texts += [with_prompt(encoder, "item", dataset.texts[item]) for item in items]
        optimizer.zero_grad()
        loss = backward(encoder, texts, loss_of, progress.tick)
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), MAX_GRADIENT_NORM)
        learning_rate = settings.learning_rate * schedule(step, step_count)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.step()

        if (step + 1) % STEPS_PER_CHECKPOINT == 0 or step + 1 == step_count:
            checkpoints.save(encoder, optimizer, step + 1)
        progress.after_step(loss, learning_rate, len(batch))


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


def draw_items(example: Example, source: random.Random) -> list[int]:
    """Up to `ITEMS_PER_QUERY` of the query's items: the best half by target, the others by chance."""
    by_target = sorted(example.targets, key=lambda item: (-example.targets[item], item))
    best = [item for item in by_target[: ITEMS_PER_QUERY // 2] if example.targets[item] > 0]
    rest = by_target[len(best) :]
    return best + source.sample(rest, min(len(rest), ITEMS_PER_QUERY - len(best)))


def near_equal_queries(queries: Tensor) -> list[list[int]]:
    """Per query, the others whose cosine is at least `NEAR_EQUAL`; unit vectors, [Q, D]."""
    near: list[list[int]] = []
    for start in range(0, len(queries), 1_024):
        close = queries[start : start + 1_024] @ queries.T >= NEAR_EQUAL
        near += [
            [other for other in row.nonzero().flatten().tolist() if other != start + offset]
            for offset, row in enumerate(close)
        ]
    return near


class _Progress:
    """Reports where the run is, and stops it once it is canceled."""

    def __init__(self, report: Callable[[TrainingProgress], None], is_canceled: Callable[[], bool]) -> None:
        self._report = report
        self._is_canceled = is_canceled
        self._now = TrainingProgress(Phase.RECEIVING_INPUTS)
        self._reported_at = -math.inf
        self._losses: list[float] = []
        self._first_step = 0
        self._queries = 0
        self._started_at = 0.0

    def tick(self) -> None:
        """Raises Canceled if so; reports if the last report is old enough."""
        if self._is_canceled():
            raise Canceled
        if time.monotonic() - self._reported_at >= SECONDS_PER_REPORT:
            self._send()

    def count_inputs(self, inputs: Iterable[TrainingInput]) -> Iterator[TrainingInput]:
        """Passes the inputs through, counting."""
        for training_input in inputs:
            self._now = replace(self._now, input_count=self._now.input_count + 1)
            self.tick()
            yield training_input
        self._send()

    def enter(self, phase: Phase) -> None:
        """Reports a new phase at once."""
        self._now = replace(self._now, phase=phase, remaining_seconds=0.0)
        self._send()
        self.tick()

    def start_training(self, first_step: int, step_count: int) -> None:
        """Enters the training phase, at the step from which it goes on."""
        self._first_step, self._started_at = first_step, time.monotonic()
        self._now = replace(self._now, step=first_step, step_count=step_count)
        self.enter(Phase.TRAINING)

    def after_step(self, loss: float, learning_rate: float, queries: int) -> None:
        """Takes up one optimizer step."""
        self._losses.append(loss)
        self._queries += queries
        done = self._now.step + 1
        seconds = time.monotonic() - self._started_at
        self._now = replace(
            self._now,
            step=done,
            loss=math.fsum(self._losses) / len(self._losses),
            learning_rate=learning_rate,
            queries_per_second=self._queries / max(seconds, 1e-9),
            remaining_seconds=seconds / (done - self._first_step) * (self._now.step_count - done),
        )
        self.tick()

    def _send(self) -> None:
        self._reported_at = time.monotonic()
        self._losses.clear()
        self._report(self._now)


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
