"""A model version on disk: the encoder's folder, its card for people and `model_version.json` for machines."""

import dataclasses
import hashlib
import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer

from clickstream.runs import FineTuningSettings, ModelVersion
from clickstream.training.card import click_model_lines, evaluation_lines
from clickstream.training.curve import CURVE_FILE
from clickstream.training.model import write_folder

VERSION_FILE = "model_version.json"


def identity(fingerprint: str, settings: FineTuningSettings, judgements_sha256: str = "") -> str:
    """Names a training and its evaluation: the same data, settings and judgements, the same SHA-256 in hexadecimal."""
    content = json.dumps([fingerprint, judgements_sha256, dataclasses.asdict(settings)], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def save_version(
    encoder: SentenceTransformer, version: ModelVersion, settings: FineTuningSettings, curve: Path
) -> None:
    """Writes the complete model folder to `version.path`, atomically.

    The encoder keeps the token limit it was trained and measured with. `curve` is a file to keep beside it.
    """
    content = {"model_version": dataclasses.asdict(version), "settings": dataclasses.asdict(settings)}
    content["model_version"]["created_at"] = version.created_at.isoformat()
    del content["model_version"]["path"]  # the folder may be moved

    def fill(folder: Path) -> None:
        encoder.save_pretrained(str(folder), create_model_card=False)
        (folder / VERSION_FILE).write_text(json.dumps(content, indent=2, sort_keys=True, default=str) + "\n", "utf-8")
        (folder / "README.md").write_text(model_card(version, settings), "utf-8")
        shutil.copyfile(curve, folder / CURVE_FILE)

    write_folder(Path(version.path), fill)


def load_version(folder: Path) -> ModelVersion | None:
    """The model version in a finished folder; None if there is none."""
    try:
        data: dict[str, Any] = json.loads((folder / VERSION_FILE).read_text("utf-8"))["model_version"]
    except FileNotFoundError:
        return None
    return ModelVersion.from_plain(
        {**data, "path": str(folder), "created_at": datetime.fromisoformat(data["created_at"])}
    )


def version_folder(data_dir: Path, name: str) -> Path | None:
    """The folder of the model version with this id; None if `name` is no version of this machine."""
    folder = data_dir / "models" / name
    named = name == folder.name and not name.startswith(".")
    return folder if named and (folder / VERSION_FILE).is_file() else None


def trained_tokens(folder: Path) -> int:
    """The token limit that the version in a finished folder was trained with."""
    return int(json.loads((folder / VERSION_FILE).read_text("utf-8"))["settings"]["max_tokens"])


def model_card(version: ModelVersion, settings: FineTuningSettings) -> str:
    """The README.md of a model folder."""
    data = version.data
    lines = [
        "---",
        "library_name: sentence-transformers",
        "pipeline_tag: sentence-similarity",
        "---",
        "",
        f"# {version.model_version_id}",
        "",
        f"`{version.base_model}`, fine-tuned on search clicks.",
        f"{'Passed' if version.promoted else 'Did not pass'} its gate: {version.gate_reason}.",
        "",
        "```python",
        "from sentence_transformers import SentenceTransformer",
        "",
        "model = SentenceTransformer(path_of_this_folder)",
        "```",
        "",
        *evaluation_lines(version.evaluation, data.held_out_queries),
        *click_model_lines(version.click_models),
        "## Data",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name.replace('_', ' ')} | {count} |" for name, count in dataclasses.asdict(data).items()),
        f"| batches | {', '.join(version.batch_ids)} |",
        f"| importance policy | {version.policy_version} |",
        f"| SHA-256 over the inputs | `{version.data_fingerprint}` |",
        "",
        "## Settings",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | `{value}` |" for name, value in dataclasses.asdict(settings).items()),
        f"| run | {version.run_id} |",
        f"| created | {version.created_at.isoformat()} |",
        "",
    ]
    return "\n".join(lines)
