"""Training runs: settings, progress and states."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from clickstream.domain import limits
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.training_inputs import ConversionSummary

# What a run id looks like, for the message of a refusal.
RUN_ID_FORM = f"1 to {limits.RUN_ID_CHARACTERS} letters, digits, `_`, `-` or `.`, and not start with `.`"


def is_run_id(value: str) -> bool:
    """Whether a value may be a run id. It names folders, so it has no `/` and does not start with a dot."""
    return (
        0 < len(value) <= limits.RUN_ID_CHARACTERS
        and limits.NAME_ALPHABET.issuperset(value)
        and not value.startswith(".")
    )


@dataclass(frozen=True, slots=True)
class FineTuningSettings:
    """How to train. The contract's `FineTuningSettings` defines each field's meaning and range."""

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
    folds: int = 0
    held_out_session_share: float = 0.2
    step_scale: float = 0.0


# The most losses that a run logs: a longer run logs those of every second step, every third and so on.
CURVE_POINTS = 2_000


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What was logged after an optimizer step, or before the first one (step 0); the time is in UTC.

    `loss` is the mean since the previous point. It is None, like `learning_rate`, if only metrics were logged.
    """

    step: int
    logged_at: datetime
    loss: float | None = None
    learning_rate: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    def merged(self, later: "CurvePoint") -> "CurvePoint":
        """This point with what was logged later at the same step."""
        return replace(
            self,
            loss=self.loss if later.loss is None else later.loss,
            learning_rate=self.learning_rate if later.learning_rate is None else later.learning_rate,
            metrics={**self.metrics, **later.metrics},
        )


class Phase(StrEnum):
    """What a training run does at present."""

    RECEIVING_INPUTS = "receiving_inputs"
    EVALUATING_BASE = "evaluating_base"
    TRAINING = "training"
    EVALUATING_NEW = "evaluating_new"
    SAVING = "saving"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """A report from the fine-tuning module. `loss` and `points` are those since the previous report.

    `waits_for` says in words what a run in phase `WAITING` waits for.
    """

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
    waits_for: str = ""


class RunState(StrEnum):
    """The state of a training run."""

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
    batches nor request: it trains on the tasks of the improvement queue that carry its id. The robot verdicts up to
    `robot_verdict_number` apply to its inputs; 0: none.
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
    robot_verdict_number: int = 0
