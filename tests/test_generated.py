"""The committed generated code equals the output of `scripts/generate`."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def generated_files(folder: Path) -> dict[str, bytes]:
    """The content of every generated file by its path."""
    found = (path for path in folder.rglob("*.py*") if path.suffix in (".py", ".pyi"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_the_generated_code_is_up_to_date(tmp_path: Path) -> None:
    """The committed code equals newly generated code, so a change of a proto comes with its code, and no edits."""
    environment = os.environ | {"CLICKSTREAM_PYTHON": sys.executable}
    subprocess.run([ROOT / "scripts" / "generate", tmp_path], env=environment, check=True, capture_output=True)
    expected = generated_files(tmp_path / "embedding_studio")
    assert len(expected) >= 21
    assert generated_files(ROOT / "generated" / "embedding_studio") == expected
