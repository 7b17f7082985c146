"""The code blocks of the pages."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^( *)```(\S*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, the line of its fence, its language, and its content."""

    page: str
    line: int
    language: str
    code: str


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in their order."""
    text = (ROOT / page).read_text("utf-8")
    return [Block(page, text.count("\n", 0, found.start()) + 1, found[2], found[3]) for found in _BLOCK.finditer(text)]
