"""What the log says about each query: the examples that a model learns from and is measured on."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clickstream.training.clicks.click_log import Counts
from clickstream.training.clicks.labels import Labels


class Evidence(NamedTuple):
    """What the log says about one text for one training query; `clicks.labels.Labels` explains each number."""

    acts: float
    looks: float
    target: float


# The evidence of a text before any item is counted.
NO_EVIDENCE = Evidence(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Example:
    """A distinct query, with what the log says about every text shown for it, by index into `Dataset.texts`.

    A training query has evidence with an act; a held-out or validation query has a gain above 0 (see
    `clicks.labels.Labels`). `sessions` counts the sessions of the query; `unknown` are shown texts without an act
    that were probably never examined.
    """

    query: str
    evidence: dict[int, Evidence]
    gains: dict[int, float]
    sessions: int = 0
    unknown: AbstractSet[int] = frozenset()

    @property
    def is_measurable(self) -> bool:
        """Whether a ranking for the query can be scored."""
        return any(gain > 0 for gain in self.gains.values())


def examples_of(
    log: Counts, labels: Labels, rows: NDArray[np.int64], spelled: Sequence[str], leave_unknown: bool
) -> Iterator[tuple[int, Example]]:
    """What the log says about the texts of each query, by the number of the query.

    Items with the same text count as one: evidence adds up, and the better target and gain count.

    Args:
        log: The log.
        labels: The labels of its pairs.
        rows: The index of each item's text, or -1.
        spelled: The queries as written, by number.
        leave_unknown: Whether items that were probably never examined are unknown.
    """
    pairs = log.pairs
    order = np.argsort(pairs.query * (int(rows.max()) + 1) + rows[pairs.item], kind="stable")
    order = order[rows[pairs.item[order]] >= 0]
    query, row = pairs.query[order], rows[pairs.item[order]]
    first = np.flatnonzero((np.diff(query, prepend=-1) != 0) | (np.diff(row, prepend=-1) != 0))
    acts, looks = (np.add.reduceat(column[order], first).tolist() for column in (labels.acts, labels.looks))
    target, gain = (np.maximum.reduceat(column[order], first).tolist() for column in (labels.target, labels.gain))
    unknown = np.logical_and.reduceat(labels.is_unknown[order], first) & leave_unknown
    query, row = query[first], row[first].tolist()
    evidence = list(map(Evidence, acts, looks, target))
    starts = np.flatnonzero(np.diff(query, prepend=-1))
    sessions = log.sessions.tolist()
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(query)], strict=True):
        own, number = row[start:end], int(query[start])
        left = frozenset(own[place] for place in np.flatnonzero(unknown[start:end]).tolist())
        known = dict(zip(own, evidence[start:end], strict=True))
        gains = dict(zip(own, gain[start:end], strict=True))
        yield number, Example(spelled[number], known, gains, int(sessions[number]), left)
