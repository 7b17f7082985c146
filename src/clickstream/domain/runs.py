"""Training runs: settings, progress and states."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from clickstream.domain import limits
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.training_inputs import ConversionSummary


@dataclass(frozen=True, slots=True)
class FineTuningSettings:
    """How to train. The contract's `FineTuningSettings` states each field's meaning and range."""

    base_model: str
    item_template: str
    epochs: int = 4
    batch_queries: int = 16
    learning_rate: float = 1e-4
    max_tokens: int = 128
    held_out_share: float = 0.2
    seed: int = 42
    position_bias: str = "auto"
    temperature: float = 0.12
    loss: str = "listwise"
    frozen_layers: int = 0
    lora_rank: int = 0
    early_stopping_patience: int = 0
    unexamined: str = "unknown"
    held_out_after: datetime | None = None


CURVE_POINTS = 2_000
"""So many losses of a run are logged at most: of longer runs, every second, third and so on."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What was logged after an optimizer step, or before the first (step 0).

    `loss` is the mean since the point before; None, like `learning_rate`, where there are metrics only.
    """

    step: int
    logged_at: datetime
    loss: float | None = None
    learning_rate: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    def joined(self, later: "CurvePoint") -> "CurvePoint":
        """With what was logged later at the same step."""
        return replace(
            self,
            loss=self.loss if later.loss is None else later.loss,
            learning_rate=self.learning_rate if later.learning_rate is None else later.learning_rate,
            metrics={**self.metrics, **later.metrics},
        )


class Phase(StrEnum):
    """What a training run is doing."""

    RECEIVING_INPUTS = "receiving_inputs"
    EVALUATING_BASE = "evaluating_base"
    TRAINING = "training"
    EVALUATING_NEW = "evaluating_new"
    SAVING = "saving"


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """A report from the fine-tuning module; times in seconds, loss and points since the last report."""

    phase: Phase
    input_count: int = 0
    step: int = 0
    step_count: int = 0
    loss: float = 0.0
    learning_rate: float = 0.0
    queries_per_second: float = 0.0
    remaining_seconds: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    points: tuple[CurvePoint, ...] = ()


RUN_ID_RULE = f"must be 1 to {limits.RUN_ID_CHARACTERS} letters, digits, `_`, `-` or `.`, and not start with `.`"


def is_run_id(text: str) -> bool:
    """Whether a text may name a run, and with it folders: see `RUN_ID_RULE`."""
    return (
        0 < len(text) <= limits.RUN_ID_CHARACTERS and limits.NAME_ALPHABET.issuperset(text) and not text.startswith(".")
    )


class RunState(StrEnum):
    """Where a training run is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


ENDED = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELED})


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A training run over released batches, given by sequence number; times are in UTC.

    `request` is the contract's `StartTrainingRequest` that queued it, as bytes, without its judgements;
    `judgements_sha256` names them, and is empty if there are none. A run `from_improvement_queue` has neither
    batches nor request: it trains on the tasks of the improvement queue that carry its id.
    """

    run_id: str
    batches: tuple[int, ...]
    settings: FineTuningSettings
    request: bytes
    state: RunState
    queued_at: datetime
    reason: str = ""
    progress: TrainingProgress | None = None
    conversion: ConversionSummary | None = None
    model_version: ModelVersion | None = None
    attempts: int = 0
    cancel_requested: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    judgements_sha256: str = ""
    from_improvement_queue: bool = False
