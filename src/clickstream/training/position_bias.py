"""Position bias: from what was shown where, and what was done with it, to one grade per query and item."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

PRIOR_ACTS = 2.0
"""Acts that are added to what is expected before training believes a ratio."""

MAX_RATIO = 10.0
"""Evaluation counts no item as more than this many times as good as expected."""


@dataclass(slots=True)
class Cell:
    """All showings of one item for one query at one position."""

    impressions: int = 0
    acts: int = 0
    """Showings with a grade above 0."""
    grades: float = 0.0
    """Sum of the grades."""


class Grade(NamedTuple):
    """What a log says about one item for one query; each 0 or more, and only comparable within the query.

    Training and measuring want different things of it. An error in one `target` trains a wrong answer, so it
    leans towards what was seen often. An error in one `gain` averages out over queries, but leaning towards
    what was seen often would lean towards the base model's own order, so it takes each item for itself.
    """

    target: float
    gain: float


Log = Mapping[str, Mapping[int, Mapping[int, Cell]]]
"""By query, item and position."""

Grades = dict[str, dict[int, Grade]]
"""By query and item."""

Correction = Callable[[Log], Grades]
"""A correction sees the whole log, so that it can estimate how attention falls with the position."""


def mean_grade(log: Log) -> Grades:
    """No correction: target and gain are the mean grade per showing, in units of the importance policy."""
    grades: Grades = {}
    for query, items in log.items():
        grades[query] = {}
        for item, cells in items.items():
            mean = sum(c.grades for c in cells.values()) / sum(c.impressions for c in cells.values())
            grades[query][item] = Grade(mean, mean)
    return grades


def rank_ctr(log: Log) -> Grades:
    """Clicks over expected clicks (COEC), where a position's expectation is its mean grade over the log.

        expected(q, d) = sum over the showings of d for q of mean grade(position)
        target(q, d)   = sum of grades(q, d) / (expected(q, d) + prior)
        gain(q, d)     = min(sum of grades(q, d) / expected(q, d), MAX_RATIO) - 1, at least 0

    The prior is `PRIOR_ACTS` acts of the log's mean grade: one chance click where clicks are rare would
    otherwise teach more than thirty at the top. The gain has no prior, is clipped instead, and counts an
    item as relevant when more was done with it than with the average item at its positions. No unit:
    scaling the policy's grades changes nothing.

    Items that were shown high because they are good raise each other's expectation: the better the old
    ranking was, the more this corrects. A click model with its own relevance (PBM) avoids that.

    Source: Zhang and Jones, "Comparing click logs and editorial labels for training query rewriting",
    WWW 2007 workshop on query log analysis; rank-based CTR in Chuklin, Markov and de Rijke, "Click
    Models for Web Search", 2015, section 3.1.
    """
    total: dict[int, Cell] = defaultdict(Cell)
    for items in log.values():
        for cells in items.values():
            for position, cell in cells.items():
                total[position].impressions += cell.impressions
                total[position].acts += cell.acts
                total[position].grades += cell.grades
    mean = {position: cell.grades / cell.impressions for position, cell in total.items()}
    acts = sum(cell.acts for cell in total.values())
    prior = PRIOR_ACTS * sum(cell.grades for cell in total.values()) / acts if acts else 1.0

    grades: Grades = {}
    for query, items in log.items():
        grades[query] = {}
        for item, cells in items.items():
            got = sum(cell.grades for cell in cells.values())
            expected = sum(cell.impressions * mean[position] for position, cell in cells.items())
            ratio = got / expected if expected > 0 else 0.0
            grades[query][item] = Grade(got / (expected + prior), max(0.0, min(ratio, MAX_RATIO) - 1.0))
    return grades


CORRECTIONS: Mapping[str, Correction] = {"none": mean_grade, "rank_ctr": rank_ctr}
"""By the name in the settings."""
