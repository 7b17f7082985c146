"""Model versions, which training runs make."""

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
    """Counts of the data that a model was trained and measured on."""

    input_count: int
    training_queries: int
    held_out_queries: int
    items: int
    items_without_text: int
    inputs_without_text: int
    inputs_outside_time: int = 0


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A trained model: its folder, its origin and its measurements. `path` is on the training machine."""

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
    """The id of a run's model version. It stays the same when the run is repeated after a crash.

    Args:
        run_id: The run's id.
        training_identity: A SHA-256 in hexadecimal, of everything that the training depends on.
    """
    return f"{run_id}-{training_identity[:IDENTITY_CHARACTERS]}"


def is_version_id(name: str) -> bool:
    """Whether a base model's name is the id of a model version, rather than of a hub's model or a folder."""
    return re.fullmatch(r"[A-Za-z0-9_.-]+-[0-9a-f]{12}", name) is not None
