"""The tables of docs/reference say what the code says: nothing is missing or too much, every number is right."""

import importlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc
from embedding_studio.clickstream.v1.error_reason_pb2 import ErrorReason
from pydantic.fields import FieldInfo

from clickstream.app.settings import Settings
from clickstream.conversion.importance import PACKAGED_POLICY
from clickstream.domain import limits

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
PROTO = ROOT / "protos" / "embedding_studio" / "clickstream" / "v1" / "error_reason.proto"

CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)]+)\)")
# A number with its unit. In `1 to 256` the lowest value is no limit that a constant names.
NUMBER = re.compile(r"(?<![\w,.])(\d[\d,]*)(?! to \d)(?: (KiB|MiB)\b)?")
UNITS = {"": 1, "KiB": 1024, "MiB": 1024 * 1024}
COMMENTED_REASON = re.compile(r"((?:  //.*\n)+)  ERROR_REASON_(\w+) = \d+;")
STATUSES = {code.name for code in grpc.StatusCode}


def rows(page: str) -> list[list[str]]:
    """The cells of all tables of a reference page, row by row, without the headings."""
    found: list[list[str]] = []
    heading = True
    for line in (REFERENCE / page).read_text("utf-8").splitlines():
        if not line.startswith("|"):
            heading = True
        elif heading:
            heading = False
        elif not line.startswith("|---"):
            found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def variable(name: str, field: FieldInfo) -> str:
    """The environment variable of a setting."""
    alias: Any = field.validation_alias
    return str(alias.choices[0]) if alias else f"CLICKSTREAM_{name.upper()}"


def number(value: float) -> str:
    """A bound as the page writes it."""
    return f"{int(value) if value == int(value) else value:,}"


def bounds(metadata: Iterable[Any]) -> str:
    """The bounds of a setting as the page writes them."""
    lowest = [number(each.ge) for each in metadata if hasattr(each, "ge")]
    highest = [number(each.le) for each in metadata if hasattr(each, "le")]
    if highest:
        return f"{lowest[0]} to {highest[0]}"
    return f"at least {lowest[0]}" if lowest else ""


def default(value: Any) -> str:
    """The default of a setting as the page writes it: the text that its variable would have."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str("" if value is None else value)


def written_default(cell: str) -> str:
    """The default in a cell; a link stands for the file that it leads to."""
    if link := LINK.search(cell):
        return str((REFERENCE / link[1]).resolve())
    code = CODE.fullmatch(cell)
    return code[1] if code else cell


def test_every_setting_stands_in_the_table_with_its_default_and_bounds() -> None:
    """The page has each field of Settings once, and no other."""
    written = [
        (CODE.findall(name)[0], written_default(value), within) for name, value, within, *_ in rows("settings.md")
    ]
    fields = Settings.model_fields
    assert PACKAGED_POLICY.is_file()
    assert sorted(written) == sorted(
        (variable(name, field), default(field.default), bounds(field.metadata)) for name, field in fields.items()
    )


def test_every_setting_says_what_it_means_and_which_command_uses_it() -> None:
    """The other two columns are filled in, and name commands that read settings."""
    for name, _, _, users, meaning in rows("settings.md"):
        assert meaning, name
        assert {"serve", "worker", "trainer"}.issuperset(users.split(", ")), name


def constant(name: str) -> int:
    """The value of a constant: one of domain/limits.py, or of the module before the last dot."""
    module, _, last = name.rpartition(".")
    return int(getattr(importlib.import_module(f"clickstream.{module}") if module else limits, last))


def numbers(cell: str) -> list[int]:
    """The numbers in a cell, in bytes where the unit says so."""
    return [int(digits.replace(",", "")) * UNITS[unit] for digits, unit in NUMBER.findall(cell)]


def test_every_number_in_the_limits_is_that_of_its_constant() -> None:
    """Each row names one constant per number, in the same order."""
    wrong = {
        what: (limit, names)
        for what, limit, _, names in rows("limits.md")
        if numbers(limit) != [constant(name) for name in CODE.findall(names)] or not numbers(limit)
    }
    assert wrong == {}


def test_every_limit_stands_in_the_table() -> None:
    """The page names each number of domain/limits.py."""
    stated = {name for name, value in vars(limits).items() if name.isupper() and isinstance(value, int)}
    written = {name for row in rows("limits.md") for name in CODE.findall(row[-1])}
    assert len(stated) > 30
    assert stated - written == set()


def test_numbers_are_read_as_people_read_them() -> None:
    """The lowest value of a range is none of the limits, and units count."""
    assert numbers("1 to 256 characters") == [256]
    assert numbers("16 KiB and 16 levels, no `.` first") == [16 * 1024, 16]
    assert numbers("0 to 1,000,000 and 0 to 1,000") == [1_000_000, 1_000]


def test_every_error_reason_stands_in_the_table_with_its_status_and_metadata() -> None:
    """The page has each value of ErrorReason once, as the comment in the contract describes it."""
    described = {}
    for comment, name in COMMENTED_REASON.findall(PROTO.read_text("utf-8")):
        text = " ".join(line.strip().removeprefix("//").strip() for line in comment.splitlines())
        keys = CODE.findall(text.partition("Metadata:")[2])
        described[name] = (STATUSES.intersection(re.findall(r"[A-Z_]+", text)), keys)
    del described["UNSPECIFIED"]
    written = {
        name: (set(statuses.split(", ")), CODE.findall(metadata)) for name, statuses, metadata, _ in rows("errors.md")
    }
    assert written == described
    assert {f"ERROR_REASON_{name}" for name in written} == set(ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}


def test_every_error_reason_has_an_entry_in_the_questions() -> None:
    """docs/faq.md explains each reason once, under a heading of its name, in a sentence at least."""
    page = (ROOT / "docs" / "faq.md").read_text("utf-8")
    entries = re.findall(r"^### ([A-Z_]+)\n(.+)", page, re.MULTILINE)
    names = [name for name, _ in entries]
    assert len(names) == len(set(names))
    assert {f"ERROR_REASON_{name}" for name in names} == set(ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}
    assert [name for name, text in entries if len(text) < 40] == []


def test_every_collection_stands_in_the_data_model() -> None:
    """docs/data-model.md names each collection that the store opens, and no other."""
    code = "".join(path.read_text("utf-8") for path in (ROOT / "src" / "clickstream" / "dao" / "mongo").glob("*.py"))
    opened = set(re.findall(r'database\["(\w+)"\]', code))
    table = (ROOT / "docs" / "data-model.md").read_text("utf-8").partition("| collection |")[2].partition("\n\n")[0]
    written = {name for line in table.splitlines() for name in CODE.findall(line.split("|")[1])} if table else set()
    assert written == opened
    assert len(opened) > 10
