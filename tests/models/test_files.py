"""The files of a model folder."""

import hashlib
from pathlib import Path

import pytest

from clickstream.domain import limits
from clickstream.domain.errors import InvalidArgument
from clickstream.models.files import ModelFiles

CONTENT = {"README.md": b"", "a/weights": b"0123456789", "z": b"abc"}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFiles:
    """Three files, read four bytes at a time."""
    monkeypatch.setattr(limits, "MODEL_CHUNK_BYTES", 4)
    (tmp_path / "a").mkdir()
    for name, data in CONTENT.items():
        (tmp_path / name).write_bytes(data)
    return ModelFiles(tmp_path)


def test_files_come_in_order_with_their_checksums(files: ModelFiles) -> None:
    """Every file has its path, size and SHA-256, and there is one SHA-256 over all files."""
    assert [(file.name, file.size) for file in files.files] == [(name, len(data)) for name, data in CONTENT.items()]
    assert [file.sha256 for file in files.files] == [hashlib.sha256(data).hexdigest() for data in CONTENT.values()]
    assert (files.total_bytes, files.sha256) == (13, hashlib.sha256(b"0123456789abc").hexdigest())


def test_reading_can_start_at_any_point(files: ModelFiles) -> None:
    """From every byte of every file on, the chunks are the rest of all files, with their true offsets."""
    whole = b"".join(CONTENT.values())
    for name, skipped in (("a/weights", 0), ("z", 10)):
        for offset in range(len(CONTENT[name]) + 1):
            chunks = list(files.chunks(name, offset))
            assert b"".join(chunk.data for chunk in chunks) == whole[skipped + offset :]
            for chunk in chunks:
                assert CONTENT[chunk.file_name][chunk.offset :].startswith(chunk.data)
                assert len(chunk.data) <= 4
    assert b"".join(chunk.data for chunk in files.chunks("", 0)) == whole


@pytest.mark.parametrize("point", [("no such file", 0), ("../z", 0), ("z", 4), ("z", -1), ("", 1)])
def test_r7_a_point_outside_of_the_files_is_refused(files: ModelFiles, point: tuple[str, int]) -> None:
    """R7: an unknown file or an offset outside of the file is INVALID_ARGUMENT."""
    with pytest.raises(InvalidArgument):
        files.chunks(*point)
