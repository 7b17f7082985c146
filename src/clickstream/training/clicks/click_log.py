"""The click log that training learns from: how often each item was shown where for a query, and what was done."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

# Share of the sessions by which click models are compared.
HELD_OUT_SHARE = 0.2

# The most sessions by which click models are compared: memory must not grow with the log.
HELD_OUT_SESSIONS = 5_000


@dataclass(slots=True)
class Cell:
    """All showings of one item for one query at one position.

    `impressions` counts the showings, `acts` those with a grade above 0, `passed` those at or above the last act
    of their session, and `last` those that were the last act of their session. `grades` is the sum of the grades.
    """

    impressions: int = 0
    acts: int = 0
    grades: float = 0.0
    passed: int = 0
    last: int = 0

    def add(self, other: "Cell") -> None:
        """Adds the counts of another cell."""
        self.impressions += other.impressions
        self.acts += other.acts
        self.grades += other.grades
        self.passed += other.passed
        self.last += other.last


class Showing(NamedTuple):
    """One item of one shown list; the grade is 0 where nothing was done with it."""

    item: int
    position: int
    grade: float


class LoggedSession(NamedTuple):
    """One shown list, in shown order, with what was done; `part` is that of `query_split.session_part`."""

    query: str
    shown: Sequence[Showing]
    part: int = 0


@dataclass(slots=True)
class ClickLog:
    """Counts over sessions, by query; memory grows with distinct (query, item, position) only.

    `sessions_with_act` counts those of `sessions` in which something was done. Of the sessions without an act the
    log may have all, some or none: a session without events gives no training input, one with impressions only does.
    """

    cells: dict[str, dict[int, dict[int, Cell]]] = field(default_factory=dict)
    sessions: Counter[str] = field(default_factory=Counter)
    sessions_with_act: Counter[str] = field(default_factory=Counter)

    def add(self, session: LoggedSession) -> None:
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

    def add_log(self, other: "ClickLog") -> None:
        """Adds the counts of another log."""
        for query, items in other.cells.items():
            mine = self.cells.setdefault(query, {})
            self.sessions[query] += other.sessions[query]
            self.sessions_with_act[query] += other.sessions_with_act[query]
            for item, positions in items.items():
                cells = mine.setdefault(item, defaultdict(Cell))
                for position, cell in positions.items():
                    cells[position].add(cell)


class HeldOutSample:
    """Holds out a fixed share of the sessions, chosen by their ids: the same sessions in any order of reading."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, int, LoggedSession]] = []
        self._count = 0

    def offer(self, session_id: str, session: LoggedSession) -> LoggedSession | None:
        """Offers a session to the sample.

        Returns:
            None if it was kept; otherwise the session to count: this one, or one evicted for it.
        """
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
    def sessions(self) -> list[LoggedSession]:
        """The sessions that were kept, in an order that depends on their ids only."""
        return [session for *_, session in sorted(self._kept, key=lambda entry: entry[:2])]
