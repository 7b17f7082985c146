"""The click log that training learns from, as columns: what was shown where for a query, and what was done."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Rows that wait at least before they are summed up with the cells of the log. Beyond that, as many rows wait as the log
# has cells: every row is then sorted a constant number of times, and memory stays within twice that of the cells.
LEAST_WAITING_ROWS = 50_000


class Sessions(NamedTuple):
    """Sessions as columns: S sessions with R shown items in all.

    `query` [S] numbers the queries, `length` [S] counts the items shown in each session. `item`, `position` and
    `grade` [R] have the items of the first session in shown order, then those of the second, and so on; the grade is
    0 where nothing was done.
    """

    query: Ints
    length: Ints
    item: Ints
    position: Ints
    grade: Floats

    @property
    def session(self) -> Ints:
        """The index of each shown item's session, [R]."""
        return np.repeat(np.arange(len(self.query)), self.length)

    def acts(self) -> Ints:
        """The number of acts of each session, [S]."""
        return np.bincount(self.session[self.grade > 0], minlength=len(self.query))

    def take(self, which: Ints) -> "Sessions":
        """The sessions with these indices, in their order."""
        starts, length = (np.cumsum(self.length) - self.length)[which], self.length[which]
        rows = np.repeat(starts - (np.cumsum(length) - length), length) + np.arange(length.sum())
        return Sessions(self.query[which], length, self.item[rows], self.position[rows], self.grade[rows])

    @staticmethod
    def joined(parts: Sequence["Sessions"]) -> "Sessions":
        """All sessions of several parts, in order."""
        if not parts:
            return Sessions(*(np.zeros(0, np.int64),) * 4, np.zeros(0))
        return Sessions(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class Cells(NamedTuple):
    """Counts of C cells, ordered by query, item and position; every column is [C].

    A cell has all showings of one item for one query at one position. `impressions` counts the showings, `acts` those
    with a grade above 0, `passed` those at or above the last act of their session, and `last` those that were the
    last act of their session. `grades` is the sum of the grades.
    """

    query: Ints
    item: Ints
    position: Ints
    impressions: Floats
    acts: Floats
    grades: Floats
    passed: Floats
    last: Floats


class Pairs(NamedTuple):
    """The cells summed over the positions: N pairs of a query and an item, ordered; every column is [N].

    `first` is the index of a pair's first cell. The counts are those of `Cells`.
    """

    query: Ints
    item: Ints
    first: Ints
    impressions: Floats
    acts: Floats
    grades: Floats
    passed: Floats
    last: Floats


NOTHING = Cells(*(np.zeros(0, np.int64),) * 3, *(np.zeros(0),) * 5)


class Counts:
    """A log's counts, and the indices that all click models share.

    `cells` are the cells. `sessions` and `sessions_with_act` count by query number, [Q]. Of the sessions without an act
    a log may have all, some or none: a session without events gives no training input, one with impressions only does.
    """

    def __init__(self, cells: Cells, sessions: Floats, sessions_with_act: Floats) -> None:
        self.cells = cells
        self.sessions = sessions
        self.sessions_with_act = sessions_with_act

    @cached_property
    def pairs(self) -> Pairs:
        """The sums over the cells of each query and item."""
        query, item = self.cells.query, self.cells.item
        first = np.flatnonzero(_changes(query) | _changes(item))
        return Pairs(query[first], item[first], first, *(_sums(column, first) for column in self.cells[3:]))

    @cached_property
    def pair_of_cell(self) -> Ints:
        """The index of each cell's pair, [C]."""
        return np.cumsum(_changes(self.cells.query) | _changes(self.cells.item)) - 1

    @cached_property
    def positions(self) -> tuple[Ints, Ints]:
        """The distinct positions in order, [P], and the index into them of each cell, [C]."""
        positions, places = np.unique(self.cells.position, return_inverse=True)
        return positions, places

    @property
    def acts(self) -> float:
        """All acts of the log."""
        return float(self.pairs.acts.sum())

    @property
    def mean_grade(self) -> float:
        """Mean grade of an act; 1 without acts."""
        return float(self.pairs.grades.sum()) / self.acts if self.acts else 1.0

    @property
    def act_rate(self) -> float:
        """Acts per showing; 0 without showings."""
        return self.acts / float(self.pairs.impressions.sum()) if len(self.cells.query) else 0.0

    def per_pair(self, of_cells: Floats) -> Floats:
        """Sums a value of each cell, [C], by pair, [N]."""
        return _sums(of_cells, self.pairs.first)

    def find(self, query: Ints, item: Ints) -> Ints:
        """The index of the pair of each query and item; -1 where the log has no such pair."""
        pairs = self.pairs
        if not len(pairs.query):
            return np.full(len(query), -1)
        width = int(max(pairs.item.max(), item.max(initial=0))) + 1
        if width * (int(max(pairs.query.max(), query.max(initial=0))) + 1) > np.iinfo(np.int64).max:
            raise OverflowError("too many queries times items for one key")
        keys, wanted = pairs.query * width + pairs.item, query * width + item
        found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[found] == wanted, found, -1)


@dataclass(slots=True)
class ClickLog:
    """Counts sessions; memory grows with distinct (query, item, position) only."""

    _cells: Cells = NOTHING
    _waiting: list[Cells] = field(default_factory=list)
    _waiting_rows: int = 0
    _sessions: Floats = field(default_factory=lambda: np.zeros(0))
    _with_act: Floats = field(default_factory=lambda: np.zeros(0))

    def add(self, sessions: Sessions) -> None:
        """Counts sessions."""
        if not len(sessions.query):
            return
        acted = sessions.grade > 0
        session, row = sessions.session, np.arange(len(acted))
        last = np.full(len(sessions.query), -1)
        last[session[acted]] = row[acted]  # of several, the last counts
        queries = max(len(self._sessions), int(sessions.query.max()) + 1)
        self._sessions = _grown(self._sessions, np.bincount(sessions.query, minlength=queries))
        self._with_act = _grown(self._with_act, np.bincount(sessions.query[last >= 0], minlength=queries))
        flags = (np.ones(len(row)), acted, sessions.grade, row <= last[session], row == last[session])
        query = sessions.query[session]
        self._waiting.append(
            _summed(Cells(query, sessions.item, sessions.position, *(flag.astype(np.float64) for flag in flags)))
        )
        self._waiting_rows += len(self._waiting[-1].query)
        if self._waiting_rows > max(LEAST_WAITING_ROWS, len(self._cells.query)):
            self._sum_up()

    def counts(self) -> Counts:
        """The counts so far."""
        self._sum_up()
        return Counts(self._cells, self._sessions, self._with_act)

    def _sum_up(self) -> None:
        if self._waiting:
            parts = zip(self._cells, *self._waiting, strict=True)
            self._cells = _summed(Cells(*(np.concatenate(columns) for columns in parts)))
            self._waiting, self._waiting_rows = [], 0


def joined(logs: Sequence[Counts]) -> Counts:
    """The counts of several logs, of which there is at least one, as those of one."""
    if len(logs) == 1:
        return logs[0]
    sessions = with_act = np.zeros(max(len(log.sessions) for log in logs))
    for log in logs:
        missing = (0, len(sessions) - len(log.sessions))
        sessions = sessions + np.pad(log.sessions, missing)
        with_act = with_act + np.pad(log.sessions_with_act, missing)
    columns = zip(*(log.cells for log in logs), strict=True)
    return Counts(_summed(Cells(*(np.concatenate(parts) for parts in columns))), sessions, with_act)


def _summed(rows: Cells) -> Cells:
    """Sums rows of the same query, item and position, and orders the cells."""
    order = _order(rows.query, rows.item, rows.position)
    query, item, position = (column[order] for column in rows[:3])
    first = np.flatnonzero(_changes(query) | _changes(item) | _changes(position))
    counts = (_sums(column[order], first) for column in rows[3:])
    return Cells(query[first], item[first], position[first], *counts)


def _order(query: Ints, item: Ints, position: Ints) -> Ints:
    """The order by query, item and position; equal rows keep theirs, so that the same rows give the same sums."""
    items, positions = int(item.max(initial=0)) + 1, int(position.max(initial=0)) + 1
    if (int(query.max(initial=0)) + 1) * items * positions <= np.iinfo(np.int64).max:
        return np.argsort((query * items + item) * positions + position, kind="stable")
    return np.lexsort((position, item, query))


def _changes(column: Ints) -> Flags:
    """Where a column differs from the row before; true in the first row."""
    changes = np.ones(len(column), np.bool_)
    np.not_equal(column[1:], column[:-1], out=changes[1:])
    return changes


def _sums(column: Floats, first: Ints) -> Floats:
    """The sums from each row of `first` to the next."""
    if len(first) == len(column):
        return column
    sums: Floats = np.add.reduceat(column, first)
    return sums


def _grown(counts: Floats, more: Ints) -> Floats:
    grown = more.astype(np.float64)
    grown[: len(counts)] += counts
    return grown
