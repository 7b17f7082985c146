"""One training run, from inputs to a model version; reads from top to bottom."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from sentence_transformers import SentenceTransformer

from clickstream.domain.errors import FailedPrecondition, FieldViolation, InvalidArgument, Reason
from clickstream.domain.evaluations import Evaluation
from clickstream.domain.judgements import JudgedQuery
from clickstream.domain.model_versions import ModelVersion, is_version_id, version_id
from clickstream.domain.runs import RUN_ID_FORM, FineTuningSettings, Phase, TrainingProgress, is_run_id
from clickstream.domain.training_inputs import TrainingInput
from clickstream.models.folders import find_model_folder, models_folder
from clickstream.training.curve import CURVE_FILE, Curve, read_curve
from clickstream.training.data.dataset import Dataset, read_dataset
from clickstream.training.encoder.encoder import embed, load_encoder
from clickstream.training.encoder.version_folder import load_version, save_version, training_identity
from clickstream.training.learning.checkpoint import Checkpoints
from clickstream.training.learning.distributed import device, join
from clickstream.training.learning.loop import train
from clickstream.training.measuring.gate import judge
from clickstream.training.measuring.judged_queries import JudgedSet, compare_judged, judged_set
from clickstream.training.measuring.ranking import evaluate, mean, score
from clickstream.training.measuring.segments import by_segment
from clickstream.training.progress import Canceled, Progress

__all__ = ["Canceled", "fine_tune"]


class Trained(NamedTuple):
    """A trained encoder, how it measured, whether it passed its gate, and why."""

    encoder: SentenceTransformer
    evaluation: Evaluation
    gate_passed: bool
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

    On the same machine, the same inputs and settings give the same model, also when the run was killed and is called
    again: it continues from its last checkpoint. A finished run returns its model version again.

    Args:
        run_id: Names the checkpoints and the model version; `domain.runs.is_run_id`.
        settings: How to train.
        inputs: Read once, in order.
        judged: Both models are also measured on these queries; the model never trains on their grades.
        data_dir: The folder of checkpoints, `runs/<run_id>/`, and of models, `models/<model_version_id>/`.
        report: Called from this thread about twice a second, between steps or chunks of texts.
        is_canceled: Asked with every input, step and encoded chunk.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if these settings and inputs cannot train a model.
        InvalidArgument: `run_id` does not have the form of a run id.
        Canceled: `is_canceled` returned true.
    """
    if not is_run_id(run_id):
        raise InvalidArgument([FieldViolation("run_id", f"must be {RUN_ID_FORM}")])
    curve_path = data_dir / "runs" / run_id / CURVE_FILE
    progress = Progress(report, is_canceled, Curve(curve_path))
    dataset = read_dataset(progress.count_inputs(inputs), settings, progress.tick)
    judgements = judged_set(judged, dataset, dataset.rows)
    identity = training_identity(dataset.fingerprint, settings, judgements.judgements_sha256 if judgements else "")
    folder = models_folder(data_dir) / version_id(run_id, identity)
    checkpoints = Checkpoints(data_dir / "runs" / run_id, identity)
    finished = load_version(folder)
    if finished is not None:
        progress.report_curve(read_curve(folder / CURVE_FILE))
        checkpoints.delete()
        return finished

    resolved = replace(settings, base_model=_base_model(settings.base_model, models_folder(data_dir)))
    with _deterministic(settings.seed):
        trained = train_and_judge(dataset, resolved, checkpoints, progress, judgements)
    progress.enter_phase(Phase.SAVING)
    version = _version(run_id, folder, settings, dataset, trained)
    save_version(trained.encoder, version, settings, curve_path)
    checkpoints.delete()
    return version


def _base_model(name: str, models: Path) -> str:
    """The folder of a model version; the name of any other base model as it is.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if a model version is not on this machine: no hub has it.
    """
    folder = find_model_folder(models, name)
    if folder is None and is_version_id(name):
        raise FailedPrecondition(
            Reason.TRAINING_IMPOSSIBLE,
            f"model version {name!r} is not on the machine that trains, in {models}; "
            "let all servers and workers name one trainer, or share its data folder",
        )
    return str(folder or name)


def train_and_judge(
    dataset: Dataset,
    settings: FineTuningSettings,
    checkpoints: Checkpoints,
    progress: Progress,
    judgements: JudgedSet | None = None,
) -> Trained:
    """Measures the base model, trains it, and measures it again on the same held-out and judged queries.

    Args:
        dataset: What the model learns from and is measured on.
        settings: How to train; the base model is a folder or a name that `load_encoder` takes.
        checkpoints: Where an earlier attempt is continued from.
        progress: Is given phases, steps and metrics. What it raises passes through.
        judgements: Judged queries to measure on, too.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if the base model cannot be loaded or adapted.
        Canceled: The run is canceled.
    """
    encoder = load_encoder(settings.base_model, settings.max_tokens, device())
    progress.enter_phase(Phase.EVALUATING_BASE)
    items = embed(encoder, "item", dataset.texts, progress.tick)
    base_scores = evaluate(encoder, dataset, items, progress.tick)
    progress.report_metrics(mean(base_scores).named("base"))
    judged_examples = judgements.examples if judgements else []
    base_judged = score(encoder, judged_examples, items, progress.tick)
    train(encoder, dataset, items, settings, checkpoints, progress, join())
    progress.enter_phase(Phase.EVALUATING_NEW)
    items = embed(encoder, "item", dataset.texts, progress.tick)
    new_scores = evaluate(encoder, dataset, items, progress.tick)
    progress.report_metrics(mean(new_scores).named("new"))
    new_judged = score(encoder, judged_examples, items, progress.tick)
    segments = by_segment(dataset, base_scores, new_scores, settings.seed)
    judged = compare_judged(judgements, base_judged, new_judged, settings.seed) if judgements else None
    return Trained(encoder, *judge(base_scores, new_scores, settings.seed, segments, judged))


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
        gate_passed=trained.gate_passed,
        gate_reason=trained.gate_reason,
        created_at=datetime.now(UTC),
        click_models=dataset.click_models,
        parent_model_version_id=settings.base_model if is_version_id(settings.base_model) else "",
    )


@contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    """Makes the same operations in the same order give the same bits, and restores torch's settings afterwards."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, CUDA's matrix products may differ
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    # Otherwise every result's memory is filled with NaN before it is written; nothing here reads unwritten memory.
    memory = cast(Any, torch.utils.deterministic)  # its type stub is empty
    filled, memory.fill_uninitialized_memory = memory.fill_uninitialized_memory, False
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = filled
