"""A model version on disk: the encoder's folder, its card for people and `model_version.json` for machines."""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer

from clickstream.domain.errors import FailedPrecondition, Reason
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import FineTuningSettings
from clickstream.models.atomic_folder import write_folder
from clickstream.models.folders import VERSION_FILE
from clickstream.training.curve import CURVE_FILE
from clickstream.training.encoder.model_card import model_card

# The queries that a version was trained on, with those of the versions before it: `query_number` of each, sorted.
TRAINED_QUERIES_FILE = "trained_queries.bin"
QUERY_NUMBER = np.dtype("<u8")


def training_identity(fingerprint: str, settings: FineTuningSettings, judgements_sha256: str = "") -> str:
    """Names a training and its evaluation: the same data, settings and judgements give the same SHA-256.

    Args:
        fingerprint: `Dataset.fingerprint`.
        settings: All of them, the base model by its name.
        judgements_sha256: Empty without judgements.

    Returns:
        64 hexadecimal digits.
    """
    content = json.dumps([fingerprint, judgements_sha256, dataclasses.asdict(settings)], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def save_version(
    encoder: SentenceTransformer,
    version: ModelVersion,
    settings: FineTuningSettings,
    curve: Path,
    trained_queries: Collection[int] = (),
) -> None:
    """Writes the complete model folder to `version.path`, atomically.

    Args:
        encoder: The trained encoder; its folder keeps the token limit with which it was trained and measured.
        version: Written as `model_version.json`, and in words as the model card, README.md.
        settings: Written beside the version.
        curve: The file with the run's training curve, which is copied.
        trained_queries: The queries that the encoder or an encoder before it was trained on, as `query_number`.
    """
    content = {"model_version": dataclasses.asdict(version), "settings": dataclasses.asdict(settings)}
    content["model_version"]["created_at"] = version.created_at.isoformat()
    del content["model_version"]["path"]  # the folder may be moved

    def fill(folder: Path) -> None:
        encoder.save_pretrained(str(folder), create_model_card=False)
        (folder / VERSION_FILE).write_text(json.dumps(content, indent=2, sort_keys=True, default=str) + "\n", "utf-8")
        (folder / "README.md").write_text(model_card(version, settings), "utf-8")
        shutil.copyfile(curve, folder / CURVE_FILE)
        np.array(sorted(trained_queries), QUERY_NUMBER).tofile(folder / TRAINED_QUERIES_FILE)

    write_folder(Path(version.path), fill)


def load_version(folder: Path) -> ModelVersion | None:
    """Reads the model version in a folder; None if there is no finished version."""
    try:
        data: dict[str, Any] = json.loads((folder / VERSION_FILE).read_text("utf-8"))["model_version"]
    except FileNotFoundError:
        return None
    return ModelVersion.from_plain(
        {**data, "path": str(folder), "created_at": datetime.fromisoformat(data["created_at"])}
    )


def trained_queries(folder: Path) -> frozenset[int] | None:
    """Reads which queries the version in a folder was trained on; None if the folder does not say, as before 0.3.0."""
    try:
        return frozenset(np.fromfile(folder / TRAINED_QUERIES_FILE, QUERY_NUMBER).tolist())
    except FileNotFoundError:
        return None


def trained_tokens(folder: Path) -> int:
    """Reads the token limit with which the version in a finished folder was trained.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if the version file is damaged.
    """
    try:
        return int(json.loads((folder / VERSION_FILE).read_text("utf-8"))["settings"]["max_tokens"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{folder / VERSION_FILE} cannot be read: {type(error).__name__}"
        raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, message) from error
