"""The committed generated code is what `scripts/generate` makes of the protos."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def contents(folder: Path) -> dict[str, bytes]:
    """Every generated file by its path."""
    found = (path for path in folder.rglob("*.py*") if path.suffix in (".py", ".pyi"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_the_generated_code_is_up_to_date(tmp_path: Path) -> None:
    """Whoever changes a proto commits what it generates; nobody edits that."""
    environment = os.environ | {"CLICKSTREAM_PYTHON": sys.executable}
    subprocess.run([ROOT / "scripts" / "generate", tmp_path], env=environment, check=True, capture_output=True)
    expected = contents(tmp_path / "embedding_studio")
    assert len(expected) >= 21
    assert contents(ROOT / "generated" / "embedding_studio") == expected
