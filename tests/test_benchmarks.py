"""The benchmarks start. They are not part of the package, so only this test notices a broken import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = [path for path in sorted(FOLDER.glob("*.py")) if "argparse.ArgumentParser" in path.read_text("utf-8")]
ALL = """
import contextlib, io, json, runpy, sys, traceback
scripts, outputs = sys.argv[2:], {}
sys.path.insert(0, sys.argv[1])
for script in scripts:
    sys.argv, output = [script, "--help"], io.StringIO()
    with contextlib.redirect_stdout(output):
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit:
            pass
        except BaseException:
            output = io.StringIO(traceback.format_exc())
    outputs[script] = output.getvalue()
print(json.dumps(outputs))
"""


@pytest.fixture(scope="module")
def outputs(torch_installed: None) -> dict[str, str]:
    """What each script says to `--help`; one process asks all, because importing torch takes seconds."""
    command = [sys.executable, "-c", ALL, str(FOLDER), *map(str, SCRIPTS)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    answers: dict[str, str] = json.loads(ran.stdout.splitlines()[-1])
    return answers


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_benchmark_says_what_it_does(outputs: dict[str, str], script: Path) -> None:
    """All that a script imports is there, and it has a page in benchmarks/README.md."""
    assert outputs[str(script)].startswith("usage:"), outputs[str(script)]
    assert f"## {script.name}" in (FOLDER / "README.md").read_text("utf-8")
