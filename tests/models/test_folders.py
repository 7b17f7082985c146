"""One rule says where a model version lies, for training, embedding and downloads."""

from pathlib import Path

import pytest

from clickstream.domain.errors import NotFound
from clickstream.domain.model_versions import VERSION_ID_CHARACTERS
from clickstream.models.folders import VERSION_FILE, find_model_folder, model_folder, models_folder

LONGEST = "v" * VERSION_ID_CHARACTERS


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two versions, one with the longest id; a folder without a version file, and versions whose names are no ids."""
    models = models_folder(tmp_path)
    for name in ("v-1", LONGEST, ".hidden", "a b", "outer/inner"):
        (models / name).mkdir(parents=True)
        (models / name / VERSION_FILE).write_text("{}")
    (models / "unfinished").mkdir()
    (models / VERSION_FILE).write_text("{}")
    (models.parent / "outside").mkdir()
    (models.parent / "outside" / VERSION_FILE).write_text("{}")
    return models


def test_the_models_lie_in_the_data_folder(models: Path, tmp_path: Path) -> None:
    """The folder of all model versions is `models` within the data folder."""
    assert models == tmp_path / "models"


@pytest.mark.parametrize("name", ["v-1", LONGEST])
def test_a_version_is_found_by_its_id(models: Path, name: str) -> None:
    """The folder is that of the id, also for an id of the greatest length."""
    assert find_model_folder(models, name) == models / name
    assert model_folder(models, name) == models / name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "v-2",
        ".hidden",
        "a b",
        "outer/inner",
        "../outside",
        "../models/v-1",
        "unfinished",
        "v-1\0",
        "v-1/",
    ],
)
def test_r7_only_the_id_of_a_version_names_a_folder(models: Path, name: str) -> None:
    """R7: a name that is no id, leads elsewhere, or whose folder has no version file finds nothing."""
    assert find_model_folder(models, name) is None
    with pytest.raises(NotFound) as caught:
        model_folder(models, name)
    assert caught.value.reason == "MODEL_VERSION_NOT_FOUND"


def test_r7_a_path_is_no_id(models: Path) -> None:
    """R7: the full path of a version is left to be the folder of another base model."""
    assert find_model_folder(models, str(models / "v-1")) is None


def test_r7_a_name_too_long_for_a_file_finds_nothing(models: Path) -> None:
    """R7: a name beyond the limit of the file system is no error of the file system."""
    assert find_model_folder(models, "v" * 5_000) is None
