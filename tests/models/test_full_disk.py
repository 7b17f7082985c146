"""Model folders on a disk that is full."""

from pathlib import Path

import pytest

from clickstream.models.atomic_folder import write_folder


def test_on_a_full_disk_the_folder_before_stays(small_disk: Path) -> None:
    """What does not fit on the disk never appears: the folder before keeps its place, and the space is free again."""
    folder = small_disk / "models" / "version-1"
    write_folder(folder, lambda beside: (beside / "weights").write_bytes(b"before") and None)
    with pytest.raises(OSError, match="No space left on device"):
        write_folder(folder, lambda beside: (beside / "weights").write_bytes(b"x" * 2**20) and None)
    assert [path.name for path in folder.parent.iterdir()] == ["version-1"]
    assert (folder / "weights").read_bytes() == b"before"
    (small_disk / "other").write_bytes(b"x" * 2**15)
