"""Folders appear whole or not at all."""

import json
from pathlib import Path

import pytest

from clickstream.models.atomic_folder import write_folder


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """A failure while filling leaves nothing behind; a success leaves only the complete folder."""
    target = tmp_path / "models" / "m1"

    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        assert not target.exists()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_folder(target, fail)
    assert list(target.parent.iterdir()) == []

    write_folder(target, lambda folder: (folder / "a.json").write_text(json.dumps(1)) and None)
    assert [path.name for path in target.parent.iterdir()] == ["m1"]
    assert (target / "a.json").read_text() == "1"


def test_a_folder_replaces_the_one_before(tmp_path: Path) -> None:
    """What was in the old folder is gone, and the new content is there."""
    target = tmp_path / "m1"
    for name in ("old", "new"):
        write_folder(target, lambda folder, name=name: (folder / name).write_text(name) and None)  # type: ignore[misc]
    assert [path.name for path in target.iterdir()] == ["new"]
