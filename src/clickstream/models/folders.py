"""Model folders: `<data folder>/models/<model version id>/`, each with a `model_version.json` in it."""

from pathlib import Path

from clickstream.domain import limits
from clickstream.domain.errors import NotFound, Reason
from clickstream.domain.model_versions import VERSION_ID_CHARACTERS

# Every model version has this file; a folder without it is not a model version.
VERSION_FILE = "model_version.json"


def models_folder(data_dir: Path) -> Path:
    """The folder of all model versions within a data folder."""
    return data_dir / "models"


def find_model_folder(models: Path, model_version_id: str) -> Path | None:
    """The folder of a model version; None if this machine does not have the version.

    Args:
        models: `models_folder`; no path outside of it is ever returned.
        model_version_id: Any text, also one that could not be an id.
    """
    could_be_an_id = (
        0 < len(model_version_id) <= VERSION_ID_CHARACTERS
        and limits.NAME_ALPHABET.issuperset(model_version_id)
        and not model_version_id.startswith(".")
    )
    folder = models / model_version_id
    return folder if could_be_an_id and (folder / VERSION_FILE).is_file() else None


def model_folder(models: Path, model_version_id: str) -> Path:
    """The folder of a model version, like `find_model_folder`.

    Raises:
        NotFound: MODEL_VERSION_NOT_FOUND, if this machine does not have the version.
    """
    folder = find_model_folder(models, model_version_id)
    if folder is None:
        raise NotFound(
            Reason.MODEL_VERSION_NOT_FOUND, "model_version_id: the trainer's machine does not have its files"
        )
    return folder
