"""What a click model makes of a log: grades per query and item, and what it predicts."""

import math
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from clickstream.training.clicks.click_log import Cell, ClickLog, Session

UNKNOWN_FROM = 0.5
"""From this probability that nobody ever examined an item for a query, the log says nothing about it."""

PRIOR_LOOKS = 4.0
"""Fruitless looks that `pbm` and `sdbn` add before they believe a share: a single act where almost nobody
looks would otherwise teach more than thirty at the top. It is also the clip of the inverse propensity: an
item that was hardly looked at counts at most as if four had looked."""

MAX_RATIO = 10.0
"""Evaluation counts no item as more than this many times as good as expected."""

PRIOR_SHOWINGS = 2.0
"""Showings at the log's mean that are added before an act is predicted."""

ROUNDS = 20
LEAST_SOME = 0.02
"""A session has some act with at least this probability."""


class Grade(NamedTuple):
    """What a log says about one item for one query; each 0 or more, and only comparable within the query.

    Training and measuring want different things of it. An error in one `target` trains a wrong answer, so it
    leans towards what was seen often. An error in one `gain` averages out over queries, but leaning towards
    what was seen often would lean towards the base model's own order, so it takes each item for itself.
    `acts` and `looks` are the evidence: how much was done with the item, in acts of the log's mean grade, and
    how often it was examined, as far as the correction can tell. Taken as Poisson, the item's acts per look
    have a standard deviation of sqrt(acts) / looks.
    """

    target: float
    gain: float
    acts: float
    looks: float

    @property
    def is_unknown(self) -> bool:
        """Whether probably nobody ever examined the item, so that nobody turned it down either."""
        return self.target <= 0 and math.exp(-self.looks) >= UNKNOWN_FROM


Grades = dict[str, dict[int, Grade]]
"""By query and item."""


class ClickModel(Protocol):
    """What a model learned from a log."""

    def grades(self) -> Grades:
        """Grades of everything in the log."""
        ...

    def predict(self, session: Session) -> list[float]:
        """P(act) of each place of a shown list, in shown order, given what was done above it.

        In any session, also in those without an act, which a log may not hold.
        """
        ...


class LogTotals(NamedTuple):
    """The log's totals."""

    impressions: int
    acts: int
    grades: float

    @property
    def worth(self) -> float:
        """Mean grade of an act."""
        return self.grades / self.acts if self.acts else 1.0

    @property
    def rate(self) -> float:
        """Acts per showing."""
        return self.acts / self.impressions if self.impressions else 0.0


def totals_of(log: ClickLog) -> LogTotals:
    """The totals of all its cells."""
    cells = [cell for items in log.cells.values() for by_position in items.values() for cell in by_position.values()]
    return LogTotals(
        sum(cell.impressions for cell in cells), sum(cell.acts for cell in cells), sum(cell.grades for cell in cells)
    )


class ItemTotals(NamedTuple):
    """An item's totals over its positions."""

    impressions: int
    acts: int
    grades: float
    passed: int
    last: int


def item_of(cells: Mapping[int, Cell]) -> ItemTotals:
    """The totals of an item's cells, by position."""
    each = cells.values()
    return ItemTotals(
        sum(cell.impressions for cell in each),
        sum(cell.acts for cell in each),
        sum(cell.grades for cell in each),
        sum(cell.passed for cell in each),
        sum(cell.last for cell in each),
    )


def in_any_session(log: ClickLog, query: str, chances: list[float]) -> list[float]:
    """From acts per showing in the log to P(act) per place in any session, also one that the log does not hold.

    p(k) = P(act at k | some act) * P, with P = P(some act) = 1 - product over k of (1 - p(k)), for acts that do
    not depend on each other; found by iteration. Whatever share of the sessions without an act the log holds,
    P(act at k | some act) = acts per showing * sessions / sessions with an act.

    Args:
        log: That the chances are counted in.
        query: Its sessions tell that share, or all sessions where it has none with an act.
        chances: Acts per showing, by place.
    """
    sessions, with_act = log.sessions[query], log.sessions_with_act[query]
    if not with_act:
        sessions, with_act = log.sessions.total(), log.sessions_with_act.total()
    given_some = [chance * sessions / with_act for chance in chances] if with_act else chances
    some = 1.0
    for _ in range(ROUNDS):
        some = max(1 - math.prod(1 - min(some * chance, 1.0) for chance in given_some), LEAST_SOME)
    return [some * chance for chance in given_some]


def gain_of(got: float, expected: float) -> float:
    """How much more was done than expected, as a share of that: 0 to `MAX_RATIO` - 1."""
    return max(0.0, min(got / expected, MAX_RATIO) - 1.0) if expected > 0 else 0.0
