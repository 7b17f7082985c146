"""The benchmarks start. They are not part of the package, so only this test notices a broken import."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = [path for path in sorted(FOLDER.glob("*.py")) if "argparse.ArgumentParser" in path.read_text("utf-8")]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_benchmark_starts_and_is_documented(script: Path) -> None:
    """Every script prints its help, so its imports work, and has a section in benchmarks/README.md."""
    ran = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "usage:" in ran.stdout
    assert f"## {script.name}" in (FOLDER / "README.md").read_text("utf-8")
