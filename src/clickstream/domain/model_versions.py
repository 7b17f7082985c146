"""Model versions: what a training run made."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clickstream.domain import limits
from clickstream.domain.evaluations import ClickModelScore, Evaluation

# Characters of the training's identity at the end of a version id.
IDENTITY_CHARACTERS = 12
# The longest version id: a run id, `-`, and the training's identity.
VERSION_ID_CHARACTERS = limits.RUN_ID_CHARACTERS + 1 + IDENTITY_CHARACTERS


@dataclass(frozen=True, slots=True)
class DataCounts:
    """What a model was trained and measured on."""

    input_count: int
    training_queries: int
    held_out_queries: int
    items: int
    items_without_text: int
    inputs_without_text: int
    inputs_outside_time: int = 0


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A trained model: where it lies, what it came from and how it measured."""

    model_version_id: str
    run_id: str
    path: str
    base_model: str
    batch_ids: tuple[str, ...]
    policy_version: str
    data_fingerprint: str
    data: DataCounts
    evaluation: Evaluation
    gate_passed: bool
    gate_reason: str
    created_at: datetime
    click_models: tuple[ClickModelScore, ...] = ()
    parent_model_version_id: str = ""

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "ModelVersion":
        """The model version that `dataclasses.asdict` made plain."""
        return cls(
            **{
                **plain,
                "batch_ids": tuple(plain["batch_ids"]),
                "data": DataCounts(**plain["data"]),
                "evaluation": Evaluation.from_plain(plain["evaluation"]),
                "click_models": tuple(ClickModelScore(**score) for score in plain.get("click_models", ())),
            }
        )


def version_id(run_id: str, training_identity: str) -> str:
    """A run's model version: the same for the same run, also when it is run again after a crash.

    Args:
        run_id: Of the run.
        training_identity: A SHA-256 in hexadecimal, see `training.encoder.version_folder.training_identity`.
    """
    return f"{run_id}-{training_identity[:IDENTITY_CHARACTERS]}"


def is_version_id(name: str) -> bool:
    """Whether a base model's name is that of a model version, and of nothing that a hub or a folder holds."""
    return re.fullmatch(r"[A-Za-z0-9_.-]+-[0-9a-f]{12}", name) is not None
