"""What pages link to, and the files and functions that they name, exist."""

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "clickstream"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")])
HISTORY = {"CHANGELOG.md"}
"""They name files by the names that these had."""
TREE = {"CONTRIBUTING.md", "docs/architecture.md", "docs/design.md", "docs/glossary.md"}
"""They name folders of the source; on other pages, a folder is one of data."""

CODE_BLOCK = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ELSEWHERE = ("https://", "http://", "mailto:")
FILE = re.compile(r"`([\w./-]+\.(?:py|proto)|[\w.-]+/[\w./-]+\.(?:md|toml|binpb|jsonl))`(?! \(planned\))")
FOLDER = re.compile(r"`([\w.-][\w./-]*/)`(?! \(planned\))")
FUNCTION = re.compile(r"`([\w.]+)\(\)`")


def name(page: Path) -> str:
    """The path of a page in the repository."""
    return page.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = HEADING.findall(CODE_BLOCK.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def problem(page: Path, link: str) -> str | None:
    """What is wrong with a relative link of a page."""
    target, _, anchor = link.partition("#")
    path = (page.parent / target).resolve() if target else page
    if not path.is_relative_to(ROOT):
        return "leads out of the repository"
    if not path.exists():
        return "does not exist"
    if anchor and anchor not in anchors(path):
        return "has no such heading"
    return None


def tree() -> tuple[set[str], set[str]]:
    """Every file and every folder of the repository, each path with a slash in front; of hidden ones only files."""
    files, folders = set(), set()
    for folder, below, names in os.walk(ROOT):
        below[:] = [each for each in below if not each.startswith(".") and each != "__pycache__"]
        at = Path("/", Path(folder).relative_to(ROOT)).as_posix().rstrip("/")
        files |= {f"{at}/{each}" for each in names}
        folders.add(f"{at}/")
    return files, folders


FILES, FOLDERS = tree()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """A relative link names a file or folder of the repository, and its anchor a heading there."""
    text = CODE_SPAN.sub("", CODE_BLOCK.sub("", page.read_text()))
    links = [link for link in LINK.findall(text) if not link.startswith(ELSEWHERE)]
    assert {link: found for link in links if (found := problem(page, link))} == {}


def test_there_are_links_to_check() -> None:
    """The pages are the real ones, and links are found in them."""
    assert len(LINK.findall((ROOT / "README.md").read_text())) >= 5
    assert {"README.md", "CONTRIBUTING.md", "docs/design.md", "docs/decisions/0001-session-numbers.md"} <= set(
        map(name, PAGES)
    )


@pytest.mark.parametrize("page", [page for page in PAGES if name(page) not in HISTORY], ids=name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    """A path in backticks is the end of a real path, unless `(planned)` follows it."""
    if name(page) in TREE and not (SOURCE / "domain").is_dir():
        pytest.skip("written for the tree in which src/clickstream/domain exists")
    text = CODE_BLOCK.sub("", page.read_text())
    missing = [path for path in FILE.findall(text) if not any(file.endswith(f"/{path}") for file in FILES)]
    folders = FOLDER.findall(text) if name(page) in TREE else []
    missing += [path for path in folders if not any(folder.endswith(f"/{path}") for folder in FOLDERS)]
    assert missing == []


def test_every_function_in_the_architecture_exists() -> None:
    """Each part of a name that ends with `()` is a class or a function of the source."""
    source = "\n".join(path.read_text() for path in SOURCE.rglob("*.py"))
    defined = set(re.findall(r"^\s*(?:async def|def|class) (\w+)", source, re.MULTILINE))
    named = FUNCTION.findall((ROOT / "docs" / "architecture.md").read_text())
    assert len(named) >= 20
    assert {part for each in named for part in each.split(".")} <= defined
