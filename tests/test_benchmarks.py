"""The benchmarks start: they are no part of the package, and nobody runs them every day."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = [path for path in sorted(FOLDER.glob("*.py")) if "argparse.ArgumentParser" in path.read_text("utf-8")]


@pytest.mark.usefixtures("torch_installed")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_benchmark_says_what_it_does(script: Path) -> None:
    """All that a script imports is there, and it has a page in benchmarks/README.md."""
    ran = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "usage:" in ran.stdout
    assert f"## {script.name}" in (FOLDER / "README.md").read_text("utf-8")
