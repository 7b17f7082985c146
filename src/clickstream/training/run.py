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
from torch import Tensor

from clickstream.domain.errors import FailedPrecondition, FieldViolation, InvalidArgument, Reason
from clickstream.domain.evaluations import Evaluation
from clickstream.domain.judgements import JudgedQuery
from clickstream.domain.model_versions import ModelVersion, is_version_id, version_id
from clickstream.domain.query_split import query_number
from clickstream.domain.runs import RUN_ID_FORM, FineTuningSettings, Phase, TrainingProgress, is_run_id
from clickstream.domain.training_inputs import TrainingInput
from clickstream.models.folders import find_model_folder, models_folder
from clickstream.training.asking import asking
from clickstream.training.curve import CURVE_FILE, Curve, read_curve
from clickstream.training.data.dataset import Dataset, read_dataset
from clickstream.training.encoder.encoder import embed, load_encoder
from clickstream.training.encoder.version_folder import load_version, save_version, trained_queries, training_identity
from clickstream.training.learning.checkpoint import Checkpoints
from clickstream.training.learning.distributed import device, join
from clickstream.training.learning.loop import Span, step_count_of, train
from clickstream.training.learning.step_scale import Weights, mean_weights, set_scaled, weights_of
from clickstream.training.measuring.fold_scores import Chosen, Measuring, PartScores, as_measured, parts_of, scored
from clickstream.training.measuring.gate import Verdict, judge
from clickstream.training.measuring.judged_queries import JudgedSet, compare_judged, judged_set
from clickstream.training.measuring.ranking import QueryScores, mean, score
from clickstream.training.measuring.segments import by_segment
from clickstream.training.progress import Canceled, Progress

__all__ = ["Canceled", "fine_tune"]


# Added to the gate's reason.
HELD_OUT_WAS_TRAINED = "; the base model was trained on some of the held-out queries, as too few others are held out"


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
    earlier_runs: int = 0,
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
        earlier_runs: Model versions that were measured on the same last batch; see `measuring.gate.judge`.
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
    curve = data_dir / "runs" / run_id / CURVE_FILE
    progress = Progress(report, is_canceled, Curve(curve))
    with asking(progress.tick):
        return _fine_tune(run_id, settings, inputs, judged, earlier_runs, data_dir, progress)


def _fine_tune(
    run_id: str,
    settings: FineTuningSettings,
    inputs: Iterable[TrainingInput],
    judged: Sequence[JudgedQuery],
    earlier_runs: int,
    data_dir: Path,
    progress: Progress,
) -> ModelVersion:
    curve_path = data_dir / "runs" / run_id / CURVE_FILE
    base_queries = _base_queries(settings.base_model, models_folder(data_dir))
    dataset = read_dataset(progress.count_inputs(inputs), settings, progress.tick, base_queries)
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
        trained = train_and_judge(dataset, resolved, checkpoints, progress, judgements, earlier_runs)
    progress.enter_phase(Phase.SAVING)
    version = _version(run_id, folder, settings, dataset, trained)
    queries = {query_number(query) for query in dataset.used_queries} | (base_queries or frozenset())
    save_version(trained.encoder, version, settings, curve_path, queries)
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


def _base_queries(name: str, models: Path) -> frozenset[int] | None:
    """The queries that a base model was trained on: none if it is no model version, None if it does not say."""
    folder = find_model_folder(models, name)
    return trained_queries(folder) if folder else frozenset()


def train_and_judge(
    dataset: Dataset,
    settings: FineTuningSettings,
    checkpoints: Checkpoints,
    progress: Progress,
    judgements: JudgedSet | None = None,
    earlier_runs: int = 0,
) -> Trained:
    """Measures the base model, trains one model for each fold, and measures these on the same queries.

    The new model's weights lie between those of the base model and the mean over the folds
    (`learning.step_scale`). Judged queries measure the new model itself.

    Args:
        dataset: What the model learns from and is measured on.
        settings: How to train; the base model is a folder or a name that `load_encoder` takes.
        checkpoints: Where an earlier attempt is continued from.
        progress: Is given phases, steps and metrics. What it raises passes through.
        judgements: Judged queries to measure on, too.
        earlier_runs: See `fine_tune`.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if the base model cannot be loaded or adapted.
        Canceled: The run is canceled.
    """
    encoder = load_encoder(settings.base_model, settings.max_tokens, device())
    progress.enter_phase(Phase.EVALUATING_BASE)
    base_items = embed(encoder, "item", dataset.texts, progress.tick)
    base_scores = [(part, score(encoder, part.examples, base_items, progress.tick)) for part in parts_of(dataset.folds)]
    progress.report_metrics(mean(_held_out(base_scores)).named("base"))
    judged_examples = judgements.examples if judgements else []
    base_judged = score(encoder, judged_examples, base_items, progress.tick)
    base = weights_of(encoder)

    trained = _train_folds(dataset, base_items, settings, checkpoints, progress)

    progress.enter_phase(Phase.EVALUATING_NEW)
    measuring = Measuring(encoder, dataset, base, trained, progress.tick)
    scale = measuring.choose(settings.step_scale, base_items)
    new_scores = measuring.scores(scale)
    progress.report_metrics(mean(_held_out(new_scores)).named("new"))
    set_scaled(encoder, base, mean_weights(trained), scale.whole)
    new_judged = []
    if judged_examples:
        items = embed(encoder, "item", dataset.texts, progress.tick)
        new_judged = score(encoder, judged_examples, items, progress.tick)
    held_out, repeated = scored(base_scores, new_scores)
    verdict = judge(
        held_out,
        settings.seed,
        repeated,
        dataset.repeated_share,
        by_segment(as_measured(dataset.folds), _held_out(base_scores), _held_out(new_scores), settings.seed),
        compare_judged(judgements, base_judged, new_judged, settings.seed) if judgements else None,
        earlier_runs,
    )
    return _trained(encoder, verdict, scale, dataset)


def _trained(encoder: SentenceTransformer, verdict: Verdict, scale: Chosen, dataset: Dataset) -> Trained:
    evaluation = replace(
        verdict.evaluation, folds=len(dataset.folds), step_scale=scale.whole, step_scales=scale.figures
    )
    doubt = HELD_OUT_WAS_TRAINED if dataset.held_out_was_trained else ""
    return Trained(encoder, evaluation, verdict.passed, verdict.reason + doubt)


def _train_folds(
    dataset: Dataset, base_items: Tensor, settings: FineTuningSettings, checkpoints: Checkpoints, progress: Progress
) -> list[Weights]:
    """The trained weights of each fold; those of folds that had ended when the run was killed, from a checkpoint."""
    steps = [step_count_of(fold, settings) for fold in dataset.folds]
    trained = []
    for number, fold in enumerate(dataset.folds):
        encoder = load_encoder(settings.base_model, settings.max_tokens, device())
        torch.manual_seed(settings.seed)  # a resumed run may not have trained the folds before this one
        span = Span(sum(steps[:number]), sum(steps))
        own = checkpoints if len(steps) == 1 else checkpoints.of_fold(number + 1)
        train(encoder, fold, dataset.texts, base_items, settings, own, progress, join(), span)
        trained.append(weights_of(encoder))
    return trained


def _held_out(scores: PartScores) -> list[QueryScores]:
    return [each for part, of_part in scores for each in of_part[: len(part.held_out)]]


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
