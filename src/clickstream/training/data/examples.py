"""What the log says about each query: the examples that a model learns from and is measured on."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

from clickstream.training.clicks.labels import Label


class Evidence(NamedTuple):
    """What the log says about one text for one training query; `clicks.labels.Label` explains each number."""

    acts: float
    looks: float
    target: float

    def merged(self, other: "Evidence") -> "Evidence":
        """Adds the evidence of another item with the same text; the better target counts."""
        return Evidence(self.acts + other.acts, self.looks + other.looks, max(self.target, other.target))


# The evidence of a text before any item is counted.
NO_EVIDENCE = Evidence(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Example:
    """A distinct query, with what the log says about every text shown for it, by index into `Dataset.texts`.

    A training query has evidence with an act; a held-out or validation query has a gain above 0 (see
    `clicks.labels.Label`). `sessions` counts the sessions of the query; `unknown` are shown texts without an act
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


def example_of(
    query: str, labels: Mapping[int, Label], rows: Mapping[int, int], sessions: int, leave_unknown: bool
) -> Example:
    """What the log says about the texts of one query; items with the same text count as one, labelled like the best."""
    evidence: dict[int, Evidence] = {}
    gains: dict[int, float] = {}
    known: set[int] = set()
    for item, label in labels.items():
        if item in rows:
            row = rows[item]
            evidence[row] = evidence.get(row, NO_EVIDENCE).merged(Evidence(label.acts, label.looks, label.target))
            gains[row] = max(label.gain, gains.get(row, 0.0))
            if not label.is_unknown:
                known.add(row)
    return Example(query, evidence, gains, sessions, frozenset(evidence.keys() - known if leave_unknown else ()))
