"""`download`."""

import hashlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from clickstream.cli.connection import ADDRESS, JSON, calling, end
from clickstream.cli.exit_codes import ExitCode
from clickstream.cli.files import sync, writing

if TYPE_CHECKING:
    from clickstream.client.admin import AdminClient

# Downloads of one file before its wrong checksum is an error: the first may go on from a damaged beginning.
_ATTEMPTS = 2


@click.command()
@click.argument("model_version")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the model's files."
)
@JSON
@ADDRESS
def download(model_version: str, out: Path, as_json: bool, address: str) -> None:
    """Download the files of a model version, with their checksums verified.

    The folder appears when all files are complete. Until then they are in a hidden folder beside it. After a break,
    even kill -9, the same command goes on from the last byte. If the folder is complete, its files are verified again.
    """
    from clickstream.views.tables import json_line

    with calling(address) as client, writing(out):
        files = client.model_files(model_version)
        _check_names(files)
        if out.exists() and any(out.iterdir()):
            if wrong := _damaged(out, files):
                message = f"{out} is not empty, and {wrong[0].name} is not the file of {model_version}"
                end(f"{message}: remove the folder, or name another", ExitCode.WRONG_USE)
        else:
            _download(client, files, out)
    line = f"{len(files.files)} files of {model_version} with {files.total_bytes:,} bytes are in {out}"
    click.echo(json_line(files) if as_json else line)


def _download(client: "AdminClient", files: Any, out: Path) -> None:
    beside = out.parent / f".{out.name}.{files.model_version_id}.partial"
    beside.mkdir(parents=True, exist_ok=True)
    for _ in range(_ATTEMPTS):
        _fill(client, files, beside)
        damaged = _damaged(beside, files)
        for file in damaged:
            (beside / file.name).unlink()
        if not damaged:
            break
    else:
        end(f"{damaged[0].name} came with a wrong SHA-256, {_ATTEMPTS} times", ExitCode.FAILED)
    for path in [*beside.rglob("*"), beside]:
        sync(path)
    if out.exists():
        out.rmdir()
    beside.rename(out)
    sync(out.parent)


def _fill(client: "AdminClient", files: Any, folder: Path) -> None:
    """Completes the files of a folder: from the first that is not whole, and there from its last byte."""
    incomplete: Any = None
    offset = 0
    for file in files.files:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        size = path.stat().st_size
        if size < file.size_bytes and incomplete is None:
            incomplete, offset = file, size
    if incomplete is None:
        return
    for chunk in client.download(files.model_version_id, incomplete.name, offset):
        with (folder / chunk.file_name).open("r+b") as opened:
            opened.seek(chunk.offset)
            opened.write(chunk.data)


def _damaged(folder: Path, files: Any) -> list[Any]:
    """The files that are absent or have another SHA-256 than listed."""
    return [file for file in files.files if _sha256(folder / file.name) != file.sha256]


def _sha256(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_names(files: Any) -> None:
    """Ends the command if a file would lie outside the folder."""
    for file in files.files:
        name = PurePosixPath(file.name)
        if name.is_absolute() or ".." in name.parts or not name.parts:
            end(f"the server names a file outside the model's folder: {file.name!r}", ExitCode.FAILED)
