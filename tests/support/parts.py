"""Parts that tests need beyond the `dev` packages: which tests need them, and what happens without them."""

import importlib.util
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import pytest

TRAINING = Path(__file__).parent.parent / "training"
# Mark → the folder whose tests get it.
FOLDERS = {"torch": TRAINING}
# Mark → the fixtures whose tests get it, also if a parameter names the fixture.
FIXTURES = {
    "mongod": {"mongod", "mongod_program", "mongo_server"},
    "torch": {"torch_installed", "tiny_encoder"},
    "full": {"small_disk", "browser", "promtool"},
}


def marks_of(item: pytest.Item) -> set[str]:
    """The marks that a test's folder and its fixtures give it."""
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    uses = {*getattr(item, "fixturenames", ()), *(value for value in parameters if isinstance(value, str))}
    marks = {mark for mark, fixtures in FIXTURES.items() if uses & fixtures}
    return marks | {mark for mark, folder in FOLDERS.items() if item.path.is_relative_to(folder)}


def is_installed(module: str) -> bool:
    """Whether a module can be imported."""
    return importlib.util.find_spec(module) is not None


def has_mongod() -> bool:
    """Whether there is a mongod, on PATH or from the `mongod` extra."""
    return bool(shutil.which("mongod")) or is_installed("fiftyone")


def missing(part: str) -> NoReturn:
    """Skips a test whose part this machine lacks. With `CI=true` the test fails, so that CI leaves nothing out."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true, and this machine has no {part}")
    pytest.skip(f"this machine has no {part}")


def left_out(items: Iterable[pytest.Item], expression: str) -> str:
    """One line about the tests that `not full` and `not torch` in `-m EXPRESSION` leave out; "" if there are none."""
    each = [{mark.name for mark in item.iter_markers()} for item in items]
    counts = []
    if "not torch" in expression and (
        count := sum("full" not in one and bool(one & {"torch", "mongod"}) for one in each)
    ):
        training = "" if is_installed("torch") else ", and tests/training"
        counts.append(f"{count} that need torch or mongod{training} (scripts/test)")
    if "not full" in expression and (count := sum("full" in one for one in each)):
        counts.append(f"{count} that need apt, npm or root (scripts/test full)")
    return f"Tests left out: {'; '.join(counts)}." if counts else ""
