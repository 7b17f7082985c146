"""Click logs whose truth is known: people look down a list and act on what attracts them."""

import random
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from clickstream.training.clicks.click_log import Cells, ClickLog, Counts, Sessions
from clickstream.training.clicks.held_out_sample import HeldOutSample
from clickstream.training.clicks.labels import ClickModel, ShownLists, shown_lists


class Showing(NamedTuple):
    """One item of one shown list; the grade is 0 where nothing was done with it."""

    item: int
    position: int
    grade: float


class LoggedSession(NamedTuple):
    """One shown list, in shown order, with what was done; queries are numbers in the log."""

    query: int
    shown: Sequence[Showing]


@dataclass
class Cell:
    """The counts of one cell, as in `Cells`."""

    impressions: float = 0
    acts: float = 0
    grades: float = 0.0
    passed: float = 0
    last: float = 0


class Label(NamedTuple):
    """The label of one item for one query."""

    target: float
    gain: float
    acts: float
    looks: float


# The attraction of each item, by query and item.
Truth = dict[int, dict[int, float]]

PLACES = 10
LEVELS = (0.05, 0.05, 0.05, 0.3, 0.9)


def sessions(
    examined: Callable[[int], float],
    *,
    queries: int = 60,
    per_query: int = 50,
    shuffled: bool = False,
    with_act: bool = True,
    seed: int = 5,
) -> tuple[list[LoggedSession], Truth]:
    """Simulates sessions in which better items tend to stand higher.

    Args:
        examined: The probability that a place, counted from 0, is examined.
        queries: The number of distinct queries.
        per_query: Sessions per query, those without an act included.
        shuffled: Shuffle the list in every session; otherwise a query always shows the same list.
        with_act: Leave out sessions without an act, as the service does.
        seed: Seeds everything.

    Returns:
        The sessions, and the true attraction of each item.
    """
    source = random.Random(seed)
    truth: Truth = {}
    made = []
    for number in range(queries):
        drawn = [source.choice(LEVELS) for _ in range(PLACES)]
        order = sorted(range(PLACES), key=lambda item: -drawn[item] + source.gauss(0, 0.4))
        truth[number] = dict(enumerate(drawn))
        for _ in range(per_query):
            if shuffled:
                source.shuffle(order)
            shown = [
                Showing(item, place, float(source.random() < examined(place) * drawn[item]))
                for place, item in enumerate(order)
            ]
            session = LoggedSession(number, shown)
            if has_act(session) or not with_act:
                made.append(session)
    return made, truth


def has_act(session: LoggedSession) -> bool:
    """Whether a session has an act."""
    return any(showing.grade > 0 for showing in session.shown)


def columns(of: Sequence[LoggedSession]) -> Sessions:
    """The sessions as columns."""
    showings = [showing for session in of for showing in session.shown]
    integers = [
        [session.query for session in of],
        [len(session.shown) for session in of],
        [showing.item for showing in showings],
        [showing.position for showing in showings],
    ]
    query, length, item, position = (np.array(each, np.int64) for each in integers)
    return Sessions(query, length, item, position, np.array([showing.grade for showing in showings], np.float64))


def counted(of: Sequence[LoggedSession]) -> Counts:
    """Counts all sessions in one log."""
    log = ClickLog()
    log.add(columns(of))
    return log.counts()


def draws(names: Sequence[str]) -> "np.typing.NDArray[np.uint64]":
    """A number for each name, as the product draws it from a session's id."""
    hashes = b"".join(blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(hashes, ">u8").astype(np.uint64)


def split_log(of: Sequence[LoggedSession]) -> tuple[Counts, Sessions]:
    """Splits sessions into the log to learn from and the held-out sessions to score by."""
    log, held_out_sample = ClickLog(), HeldOutSample()
    log.add(held_out_sample.offer(draws([f"s-{number}" for number in range(len(of))]), columns(of))[1])
    return log.counts(), held_out_sample.sessions


def log_of(cells: dict[int, dict[int, dict[int, Cell]]]) -> Counts:
    """A log of these counts, by query, item and position, with every session, also those without an act."""
    rows = [
        (query, item, position, *astuple(cell))
        for query, items in sorted(cells.items())
        for item, by_position in sorted(items.items())
        for position, cell in sorted(by_position.items())
    ]
    table = np.array(rows, np.float64).reshape(-1, 8).T
    sessions, with_act = np.zeros(max(cells) + 1), np.zeros(max(cells) + 1)
    for query, items in cells.items():
        each = [cell for by_position in items.values() for cell in by_position.values()]
        sessions[query] = max(cell.impressions for cell in each)
        with_act[query] = min(sum(cell.acts for cell in each), sessions[query])
    return Counts(Cells(*table[:3].astype(np.int64), *table[3:]), sessions, with_act)


def cells_of(log: Counts) -> dict[tuple[int, int, int], Cell]:
    """The cells of a log, by query, item and position."""
    rows = zip(*(column.tolist() for column in log.cells), strict=True)
    return {(query, item, position): Cell(*counts) for query, item, position, *counts in rows}


def labels_of(log: Counts, model: ClickModel) -> dict[int, dict[int, Label]]:
    """What a model makes of a log, by query and item."""
    found: dict[int, dict[int, Label]] = {}
    pairs = zip(log.pairs.query.tolist(), log.pairs.item.tolist(), strict=True)
    for (query, item), row in zip(pairs, zip(*(each.tolist() for each in model.labels()), strict=True), strict=True):
        found.setdefault(query, {})[item] = Label(*row)
    return found


def lists_of(log: Counts, *of: LoggedSession) -> ShownLists:
    """Sessions as a model of a log predicts them."""
    return shown_lists(log, columns(of))
