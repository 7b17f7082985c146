"""What a click model makes of a log: a label for each query and item, and a prediction for each session."""

import math
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from clickstream.training.clicks.click_log import Cell, ClickLog, LoggedSession

# From this probability on that an item was never examined for a query, the log is no evidence about it.
UNKNOWN_FROM = 0.5

# Looks without an act that `pbm` and `sdbn` add to each item. Without them, a single act where few people look would
# teach more than thirty at the top. It is also the clip of the inverse propensity: an item with few looks counts at
# most as if it had had four.
PRIOR_LOOKS = 4.0

# Evaluation counts no item as more than this many times as good as expected.
MAX_RATIO = 10.0

# Showings at the log's mean that are added before an act is predicted.
PRIOR_SHOWINGS = 2.0

# Iterations of the fixed point in `in_any_session`.
ROUNDS = 20
# The lowest probability that a session has an act, so that nothing is divided by about 0.
LEAST_SOME = 0.02


class Label(NamedTuple):
    """What a log says about one item for one query; each number is at least 0, and comparable within the query only.

    Training and measuring need different numbers. `target` is what training aims at: an error in it trains a wrong
    answer, so it leans towards items that were seen often. `gain` is what measuring counts: its errors average out
    over queries, but leaning towards items that were seen often would favour the base model's own order, so it takes
    each item for itself.

    `acts` and `looks` are the evidence: how much was done with the item, in acts of the log's mean grade, and how
    often it was examined, as estimated by the correction. Taken as Poisson, the item's acts per look have a standard
    deviation of sqrt(acts) / looks.
    """

    target: float
    gain: float
    acts: float
    looks: float

    @property
    def is_unknown(self) -> bool:
        """Whether the item was probably never examined, so that it was not turned down either."""
        return self.target <= 0 and math.exp(-self.looks) >= UNKNOWN_FROM


# By query and item.
Labels = dict[str, dict[int, Label]]


class ClickModel(Protocol):
    """A click model that has learned from a log."""

    def labels(self) -> Labels:
        """Labels every item of the log for every query that it was shown for."""
        ...

    def predict(self, session: LoggedSession) -> list[float]:
        """Predicts P(act) for each place of a shown list, in shown order, given the acts above that place.

        The probability is over all sessions, also those without an act, which a log may lack.
        """
        ...


class LogTotals(NamedTuple):
    """The sums over all cells of a log."""

    impressions: int
    acts: int
    grades: float

    @property
    def mean_grade(self) -> float:
        """Mean grade of an act; 1 without acts."""
        return self.grades / self.acts if self.acts else 1.0

    @property
    def act_rate(self) -> float:
        """Acts per showing; 0 without showings."""
        return self.acts / self.impressions if self.impressions else 0.0


def log_totals(log: ClickLog) -> LogTotals:
    """Sums all cells of a log."""
    cells = [cell for items in log.cells.values() for by_position in items.values() for cell in by_position.values()]
    return LogTotals(
        sum(cell.impressions for cell in cells), sum(cell.acts for cell in cells), sum(cell.grades for cell in cells)
    )


class ItemTotals(NamedTuple):
    """The sums over one item's cells: the same counts as those of `Cell`, over all positions."""

    impressions: int
    acts: int
    grades: float
    passed: int
    last: int


def item_totals(cells: Mapping[int, Cell]) -> ItemTotals:
    """Sums an item's cells, given by position."""
    each = cells.values()
    return ItemTotals(
        sum(cell.impressions for cell in each),
        sum(cell.acts for cell in each),
        sum(cell.grades for cell in each),
        sum(cell.passed for cell in each),
        sum(cell.last for cell in each),
    )


def in_any_session(log: ClickLog, query: str, chances: list[float]) -> list[float]:
    """Turns acts per logged showing into P(act) for each place of any session, also one that the log lacks.

        p(k) = P(act at k | some act) * P(some act), with P(some act) = 1 - product over k of (1 - p(k))

    This takes acts as independent of each other, and p is found by iteration. Whatever share of the sessions
    without an act the log has, P(act at k | some act) = acts per showing * sessions / sessions with an act.

    Args:
        log: The log in which the chances were counted.
        query: The query whose sessions give that share. A query without an act takes the share of the whole log.
        chances: Acts per showing, by place.

    Returns:
        Probabilities by place.
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
