"""Where a model version lies on this machine."""

from pathlib import Path

from clickstream.domain import limits
from clickstream.domain.errors import NotFound, Reason

VERSION_FILE = "model_version.json"


def model_folder(models: Path, model_version_id: str) -> Path:
    """The folder of a version. Raises NotFound if this machine does not hold it."""
    named = limits.NAME_ALPHABET.issuperset(model_version_id) and not model_version_id.startswith(".")
    if not (model_version_id and named and (models / model_version_id).is_dir()):
        raise NotFound(
            Reason.MODEL_VERSION_NOT_FOUND, "model_version_id: the machine of the models does not hold its files"
        )
    return models / model_version_id


def version_folder(data_dir: Path, name: str) -> Path | None:
    """The folder of the model version with this id; None if `name` is no version of this machine."""
    folder = data_dir / "models" / name
    named = name == folder.name and not name.startswith(".")
    return folder if named and (folder / VERSION_FILE).is_file() else None
