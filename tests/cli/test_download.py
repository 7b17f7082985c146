"""`clickstream download`: complete and verified files, also after a kill."""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.scripted_models import CHUNK, ScriptedModels, serving_models
from support.servers import wait_for

from clickstream.cli.commands import main
from clickstream.cli.exit_codes import ExitCode

FILES = {
    "1_Pooling/config.json": b"{}",
    "empty": b"",
    "model.safetensors": random.Random(1).randbytes(40 * CHUNK + 17),
    "vocab.txt": random.Random(2).randbytes(3 * CHUNK),
}


@pytest.fixture
def models() -> ScriptedModels:
    """The service."""
    service = ScriptedModels()
    service.files = FILES
    return service


@pytest.fixture
def address(models: ScriptedModels) -> Iterator[str]:
    """Where it listens."""
    with serving_models(models) as address:
        yield address


@pytest.fixture
def download(address: str, tmp_path: Path) -> Callable[..., Result]:
    """Downloads into the folder `model`."""
    words = ["download", "version-1", "--out", str(tmp_path / "model"), "--address", address]
    return lambda *more: CliRunner().invoke(main, [*words, *more])


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_files_are_there(download: Callable[..., Result], tmp_path: Path) -> None:
    """The folder has every file, also empty ones and those of inner folders, and nothing else lies beside it."""
    result = download()
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"4 files of version-1 with {sum(map(len, FILES.values())):,} bytes are in ")
    assert content(tmp_path / "model") == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_full_disk_is_one_line(address: str, small_disk: Path) -> None:
    """Without space for the files the command ends with code 2 and a line that says so, not with a traceback."""
    words = ["download", "version-1", "--out", str(small_disk / "model"), "--address", address]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == ExitCode.WRONG_USE
    assert result.stderr.splitlines()[-1].endswith("No space left on device")
    assert not (small_disk / "model").exists()


def test_a_killed_download_goes_on_where_it_was(
    models: ScriptedModels, address: str, download: Callable[..., Result], tmp_path: Path
) -> None:
    """After kill -9 the folder is absent, and the same command fetches only what is not there yet."""
    models.answers = 20
    command = [sys.executable, "-m", "clickstream", "download", "version-1", "--out", str(tmp_path / "model")]
    with subprocess.Popen([*command, "--address", address]) as process:
        try:
            assert models.stopped.wait(30)
            weights = tmp_path / ".model.version-1.partial" / "model.safetensors"
            wait_for(lambda: weights.exists() and weights.stat().st_size)
        finally:
            process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "model").exists()
    [partial] = tmp_path.iterdir()
    there = (partial / "model.safetensors").stat().st_size
    assert 0 < there < len(FILES["model.safetensors"])
    models.go_on()
    models.asked.clear()
    assert download().exit_code == 0
    # The list of files comes from a stream of its own, which is canceled behind it.
    assert models.asked == [("", 0), ("model.safetensors", there)]
    assert content(tmp_path / "model") == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_damaged_beginning_is_fetched_again(
    models: ScriptedModels, download: Callable[..., Result], tmp_path: Path
) -> None:
    """What lies there is verified too: files with a wrong SHA-256, too long or of another version are replaced."""
    partial = tmp_path / ".model.version-1.partial"
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"\0" * CHUNK)
    (partial / "vocab.txt").write_bytes(b"\0" * 10 * CHUNK)
    assert download().exit_code == 0
    assert content(tmp_path / "model") == FILES


def test_a_wrong_checksum_never_appears(
    models: ScriptedModels, download: Callable[..., Result], tmp_path: Path
) -> None:
    """One damaged transfer is repeated; if the next one is damaged, too, the command fails and the folder is absent."""
    models.damaged = 1_000
    result = download()
    assert result.exit_code == ExitCode.FAILED
    assert "SHA-256" in result.stderr
    assert not (tmp_path / "model").exists()
    models.damaged = 0
    assert download().exit_code == 0


def test_a_complete_download_is_verified_and_left(
    models: ScriptedModels, download: Callable[..., Result], tmp_path: Path
) -> None:
    """The same command again changes nothing; a folder with other content is never overwritten."""
    assert download().exit_code == 0
    before = (tmp_path / "model" / "vocab.txt").stat()
    assert json.loads(download("--json").stdout)["model_version_id"] == "version-1"
    assert (tmp_path / "model" / "vocab.txt").stat() == before
    (tmp_path / "model" / "vocab.txt").write_bytes(b"mine")
    refused = download()
    assert refused.exit_code == ExitCode.WRONG_USE
    assert "vocab.txt is not the file of version-1" in refused.stderr
    assert (tmp_path / "model" / "vocab.txt").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside"])
def test_no_file_lies_outside_the_folder(
    models: ScriptedModels, download: Callable[..., Result], tmp_path: Path, name: str
) -> None:
    """A server that names a path outside the folder writes nothing there."""
    models.files = {name: b"evil"}
    assert download().exit_code == ExitCode.FAILED
    assert list(tmp_path.iterdir()) == []
