"""The click log that training learns from: how often each item was shown where for a query, and what was done."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

HELD_OUT_SHARE = 0.2
"""Of the sessions, by which click models are compared."""

HELD_OUT_SESSIONS = 5_000
"""At most: what is kept of the log session by session must not grow with it."""


@dataclass(slots=True)
class Cell:
    """All showings of one item for one query at one position."""

    impressions: int = 0
    acts: int = 0
    """Showings with a grade above 0."""
    grades: float = 0.0
    """Sum of the grades."""
    passed: int = 0
    """Showings at or above the last act of their session."""
    last: int = 0
    """Showings that were the last act of their session."""


Cells = Mapping[str, Mapping[int, Mapping[int, Cell]]]
"""By query, item and position."""


class Showing(NamedTuple):
    """One item of one shown list."""

    item: int
    position: int
    grade: float


class Session(NamedTuple):
    """One shown list with what was done, in shown order."""

    query: str
    shown: Sequence[Showing]


@dataclass(slots=True)
class ClickLog:
    """Counts over sessions, by query; memory grows with distinct (query, item, position) only."""

    cells: dict[str, dict[int, dict[int, Cell]]] = field(default_factory=dict)
    sessions: Counter[str] = field(default_factory=Counter)
    sessions_with_act: Counter[str] = field(default_factory=Counter)
    """Those of `sessions` in which something was done. Of the others the log may hold all, some or none: a session
    without events gives no training input, one with impressions alone does."""

    def add(self, session: Session) -> None:
        """Counts one session."""
        items = self.cells.setdefault(session.query, {})
        self.sessions[session.query] += 1
        acted = [place for place, showing in enumerate(session.shown) if showing.grade > 0]
        last = acted[-1] if acted else -1
        self.sessions_with_act[session.query] += bool(acted)
        for place, (item, position, grade) in enumerate(session.shown):
            cell = items.setdefault(item, defaultdict(Cell))[position]
            cell.impressions += 1
            cell.acts += grade > 0
            cell.grades += grade
            cell.passed += place <= last
            cell.last += place == last


class Sampler:
    """Keeps a fixed share of the sessions apart, by their ids: the same sessions in any order of reading."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, int, Session]] = []
        self._count = 0

    def offer(self, session_id: str, session: Session) -> Session | None:
        """Takes a session, or gives back one that is not kept: this one, or another that makes room."""
        draw = int.from_bytes(blake2b(session_id.encode(), digest_size=8).digest(), "big")
        if draw >= HELD_OUT_SHARE * 2**64:
            return session
        self._count += 1
        entry = (-draw, self._count, session)
        if len(self._kept) < HELD_OUT_SESSIONS:
            heapq.heappush(self._kept, entry)
            return None
        return heapq.heappushpop(self._kept, entry)[2]

    @property
    def sessions(self) -> list[Session]:
        """Those that are kept, in one order."""
        return [session for *_, session in sorted(self._kept, key=lambda entry: entry[:2])]
