"""The rules of `docs/design.md`: each that is cited stands there once, and each in force has a test with its number."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DESIGN = ROOT / "docs" / "design.md"
FOLDERS = ("src", "tests", "docs", "protos", "benchmarks", "examples", "scripts")
RULE = re.compile(r"^- \*\*R(\d+)\*\*(?: \*\((in part|planned)\)\*)?", re.MULTILINE)
CITATION = re.compile(r"\bR(\d{1,2})\b")
TEST = re.compile(r"^\s*(?:async )?def test_r(\d+)_", re.MULTILINE)


def texts(*folders: str) -> dict[str, str]:
    """Every text file of these folders, by its path."""
    found = (path for folder in folders for path in sorted((ROOT / folder).rglob("*")) if path.is_file())
    suffixes = {".py", ".md", ".proto", ".toml", ".sh", ""}
    kept = [path for path in found if path.suffix in suffixes and "__pycache__" not in path.parts]
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8", errors="replace") for path in kept}


def rules() -> list[tuple[int, str]]:
    """Number and mark of every rule, in the order of the page; no mark means in force."""
    return [(int(number), mark) for number, mark in RULE.findall(DESIGN.read_text())]


def cited() -> dict[int, list[str]]:
    """Numbers of rules, each with the files that cite it, in a sentence or in the name of a test."""
    pages = {path.name: path.read_text() for path in ROOT.glob("*.md")} | texts(*FOLDERS)
    found: dict[int, list[str]] = {}
    for name, text in pages.items():
        for number in {*CITATION.findall(text), *TEST.findall(text)}:
            found.setdefault(int(number), []).append(name)
    return found


def with_a_test() -> set[int]:
    """Numbers that stand in the name of a test."""
    return {int(number) for text in texts("tests").values() for number in TEST.findall(text)}


def test_the_rules_are_numbered_without_a_gap() -> None:
    """The rules count from 1: no number is missing, and none stands twice. A new rule may stand under any heading."""
    numbers = [number for number, _ in rules()]
    assert len(numbers) >= 30
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_every_cited_rule_exists() -> None:
    """Whatever number a source file, a test or a page cites, the design has that rule."""
    found = cited()
    assert "tests/test_rules.py" not in str(found)
    assert "src/clickstream/dao" in str(found[8])
    unknown = {number: names for number, names in found.items() if number not in dict(rules())}
    assert unknown == {}


@pytest.mark.parametrize("number", [number for number, mark in rules() if mark != "planned"])
def test_a_rule_in_force_has_a_test(number: int) -> None:
    """At least one test carries the number in its name, which begins with `test_rNN_`."""
    assert number in with_a_test()


def test_a_planned_rule_has_no_test() -> None:
    """With the first test of a rule its mark goes: what is tested is in force."""
    assert {number for number, mark in rules() if mark == "planned"}.isdisjoint(with_a_test())
