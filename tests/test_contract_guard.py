"""`scripts/check` refuses what clients of a released contract could not live with, by the real buf."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHOP = """syntax = "proto3";

// What clients of the newest release know, and those of the oldest do not.
package embedding_studio.shop.v1;

// A shelf.
message Shelf {
  // Its name.
  string name = 1;
}
"""


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    """A copy of the contract without releases."""
    return shutil.copytree(ROOT / "protos", tmp_path / "protos", ignore=shutil.ignore_patterns("released"))


def run(script: str, argument: object, **environment: object) -> subprocess.CompletedProcess[str]:
    """Runs a script with the environment of this test."""
    tools = {"CLICKSTREAM_PYTHON": sys.executable, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    named = {name: str(value) for name, value in environment.items()}
    command = [str(ROOT / "scripts" / script), str(argument)]
    return subprocess.run(
        command, env=os.environ | tools | named, capture_output=True, text=True, timeout=60, check=False
    )


def release(contract: Path, version: str) -> None:
    """Keeps the contract as it is now as that of a release."""
    ran = run("release-contract", version, CONTRACT=contract)
    assert ran.returncode == 0, ran.stderr


def edit(contract: Path, change: Callable[[str], str]) -> None:
    """Changes the proto of sessions."""
    file = contract / "embedding_studio" / "clickstream" / "v1" / "session.proto"
    before = file.read_text()
    assert change(before) != before
    file.write_text(change(before))


def test_an_unchanged_contract_passes(contract: Path) -> None:
    """The contract as it is passes against its own image, and with a new message."""
    release(contract, "1.0.0")
    edit(contract, lambda text: text + "\n// An addition.\nmessage Addition {\n  // Its name.\n  string name = 1;\n}\n")
    ran = run("check-contract", contract)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("string query = ", "string question = ", 'from "query" to "question"'),
        ("string query = ", "bytes query = ", "type"),
    ],
)
def test_a_breaking_change_is_refused(contract: Path, old: str, new: str, message: str) -> None:
    """A renamed field and one of another type fail the check, which says where."""
    release(contract, "1.0.0")
    edit(contract, lambda text: text.replace(old, new, 1))
    ran = run("check-contract", contract)
    assert ran.returncode != 0
    assert "session.proto" in ran.stdout
    assert message in ran.stdout


def test_the_newest_release_is_the_guard(contract: Path) -> None:
    """What 0.10.0 added cannot go, though 0.9.0, which comes later by the alphabet, did not have it."""
    release(contract, "0.9.0")
    shop = contract / "embedding_studio" / "shop" / "v1" / "shop.proto"
    shop.parent.mkdir(parents=True)
    shop.write_text(SHOP)
    release(contract, "0.10.0")
    shop.unlink()
    ran = run("check-contract", contract)
    assert ran.returncode != 0
    assert "shop.proto" in ran.stdout


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("  string ", "    string ", 1),
        lambda text: text.replace("string query", "string theQuery", 1),
    ],
)
def test_format_and_lint_are_checked(contract: Path, change: Callable[[str], str]) -> None:
    """Other indentation and a field in camel case fail the check, whatever was released."""
    edit(contract, change)
    release(contract, "1.0.0")
    assert run("check-contract", contract).returncode != 0


def test_a_contract_without_a_release_fails(contract: Path) -> None:
    """Where no image is, nothing guards the contract, and the check says so instead of passing."""
    ran = run("check-contract", contract)
    assert ran.returncode == 1
    assert "scripts/release-contract" in ran.stderr


def test_a_released_contract_never_changes(contract: Path) -> None:
    """A second release under the same version is refused and leaves the image alone."""
    release(contract, "1.0.0")
    image = contract / "released" / "1.0.0.binpb"
    before = image.read_bytes()
    edit(contract, lambda text: text.replace("string query = ", "bytes query = ", 1))
    ran = run("release-contract", "1.0.0", CONTRACT=contract)
    assert ran.returncode == 1
    assert "1.0.0.binpb is there already" in ran.stderr
    assert image.read_bytes() == before


@pytest.mark.parametrize("version", ["", "1.0", "v1.0.0", "../1.0.0"])
def test_a_release_has_a_version_of_three_numbers(contract: Path, version: str) -> None:
    """What cannot be ordered by version is refused as wrong use."""
    assert run("release-contract", version, CONTRACT=contract).returncode == 2
    assert not (contract / "released").exists()
