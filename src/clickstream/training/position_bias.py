"""Position bias: from what was shown where, and what was done with it, to one grade per query and item.

Each correction is a click model: it grades what a log says, and predicts the acts of sessions that it did
not see, by which corrections are compared (R18).
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from clickstream.training.click_log import Cell, ClickLog, Session
from clickstream.training.position_based import learn_attention

UNKNOWN_FROM = 0.5
"""From this probability that nobody ever examined an item for a query, the log says nothing about it."""

RARE_SHOWINGS = 20.0
"""Showings at the log's mean act rate that are added to each position: a rare one would else lead."""

PRIOR_ACTS = 2.0
"""Acts that `rank_ctr` adds to what is expected before it believes a ratio."""

PRIOR_LOOKS = 4.0
"""Fruitless looks that `pbm` and `sdbn` add before they believe a share: a single act where almost nobody
looks would otherwise teach more than thirty at the top. It is also the clip of the inverse propensity: an
item that was hardly looked at counts at most as if four had looked."""

MAX_RATIO = 10.0
"""Evaluation counts no item as more than this many times as good as expected."""

SURE = 1e-6
"""No item attracts with certainty."""

PRIOR_SHOWINGS = 2.0
"""Showings at the log's mean that are added before an act is predicted."""


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
        """P(act) of each place of a shown list, in shown order, given what was done above it."""
        ...


class _Pooled(NamedTuple):
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


def _pooled(log: ClickLog) -> _Pooled:
    cells = [cell for items in log.cells.values() for by_position in items.values() for cell in by_position.values()]
    return _Pooled(
        sum(cell.impressions for cell in cells), sum(cell.acts for cell in cells), sum(cell.grades for cell in cells)
    )


class _Item(NamedTuple):
    """An item's totals over its positions."""

    impressions: int
    acts: int
    grades: float
    passed: int
    last: int


def _item(cells: Mapping[int, Cell]) -> _Item:
    each = cells.values()
    return _Item(
        sum(cell.impressions for cell in each),
        sum(cell.acts for cell in each),
        sum(cell.grades for cell in each),
        sum(cell.passed for cell in each),
        sum(cell.last for cell in each),
    )


class MeanGrade:
    """No correction: target and gain are the mean grade per showing, in units of the importance policy.

    Predicts by the same: P(act on d for q) = its acts per showing. Source: the document-based CTR model in
    Chuklin, Markov and de Rijke, "Click Models for Web Search", 2015, section 3.2.
    """

    def __init__(self, log: ClickLog) -> None:
        self._log = log
        self._all = _pooled(log)

    def grades(self) -> Grades:
        """See `ClickModel`."""
        grades: Grades = {}
        for query, items in self._log.cells.items():
            grades[query] = {}
            for item, cells in items.items():
                total = _item(cells)
                mean = total.grades / total.impressions
                grades[query][item] = Grade(mean, mean, total.grades / self._all.worth, total.impressions)
        return grades

    def predict(self, session: Session) -> list[float]:
        """See `ClickModel`."""
        items = self._log.cells.get(session.query, {})
        totals = [_item(items.get(showing.item, {})) for showing in session.shown]
        prior = PRIOR_SHOWINGS * self._all.rate
        return [(total.acts + prior) / (total.impressions + PRIOR_SHOWINGS) for total in totals]


class RankCtr:
    """Clicks over expected clicks (COEC), where a position's expectation is its mean grade over the log.

        expected(q, d) = sum over the showings of d for q of mean grade(position)
        target(q, d)   = sum of grades(q, d) / (expected(q, d) + prior)
        gain(q, d)     = min(sum of grades(q, d) / expected(q, d), MAX_RATIO) - 1, at least 0

    The prior is `PRIOR_ACTS` acts of the log's mean grade: one chance click where clicks are rare would
    otherwise teach more than thirty at the top. The gain has no prior, is clipped instead, and counts an
    item as relevant when more was done with it than with the average item at its positions. No unit:
    scaling the policy's grades changes nothing.

    Items that were shown high because they are good raise each other's expectation: the better the old
    ranking was, the more this corrects. A click model with its own relevance (`pbm`) avoids that.

    A position counts as looked at by its act rate over the highest of any position, which errs towards
    calling items further down unknown. Predicts
    P(act on d at k for q) = mean act rate(k) * (acts(q, d) + prior) / (expected acts(q, d) + prior).

    Source: Zhang and Jones, "Comparing click logs and editorial labels for training query rewriting",
    WWW 2007 workshop on query log analysis; rank-based CTR in Chuklin, Markov and de Rijke, "Click
    Models for Web Search", 2015, section 3.1.
    """

    def __init__(self, log: ClickLog) -> None:
        self._log = log
        self._all = _pooled(log)
        total: dict[int, Cell] = {}
        for items in log.cells.values():
            for cells in items.values():
                for position, cell in cells.items():
                    pooled = total.setdefault(position, Cell())
                    pooled.impressions += cell.impressions
                    pooled.acts += cell.acts
                    pooled.grades += cell.grades
        self._mean_grade = {position: cell.grades / cell.impressions for position, cell in total.items()}
        self._mean_acts = {position: cell.acts / cell.impressions for position, cell in total.items()}
        added = RARE_SHOWINGS * self._all.rate
        rates = {k: (cell.acts + added) / (cell.impressions + RARE_SHOWINGS) for k, cell in total.items()}
        highest = max(rates.values(), default=0.0) or 1.0
        self._attention = {position: rate / highest for position, rate in rates.items()}

    def grades(self) -> Grades:
        """See `ClickModel`."""
        prior = PRIOR_ACTS * self._all.worth
        grades: Grades = {}
        for query, items in self._log.cells.items():
            grades[query] = {}
            for item, cells in items.items():
                total = _item(cells)
                expected = sum(cell.impressions * self._mean_grade[position] for position, cell in cells.items())
                grades[query][item] = Grade(
                    total.grades / (expected + prior),
                    _gain(total.grades, expected),
                    total.grades / self._all.worth,
                    sum(cell.impressions * self._attention[position] for position, cell in cells.items()),
                )
        return grades

    def predict_by_position(self, session: Session) -> list[float]:
        """Acts per showing of each position: the baseline that every click model is compared with."""
        return [self._mean_acts.get(showing.position, self._all.rate) for showing in session.shown]

    def predict(self, session: Session) -> list[float]:
        """See `ClickModel`."""
        items = self._log.cells.get(session.query, {})
        chances = []
        for showing, rate in zip(session.shown, self.predict_by_position(session), strict=True):
            cells = items.get(showing.item, {})
            expected = sum(cell.impressions * self._mean_acts[position] for position, cell in cells.items())
            chances.append(rate * (_item(cells).acts + PRIOR_ACTS) / (expected + PRIOR_ACTS))
        return chances


class PositionBased:
    """The position-based model: an act needs that the position is examined and that the item attracts.

        looks(q, d)  = sum over the showings of d for q of P(examined at its position)
        target(q, d) = sum of grades(q, d) / (looks(q, d) + PRIOR_LOOKS)
        gain(q, d)   = min(ratio, MAX_RATIO) - 1, at least 0, with ratio = grades per look over that of the log

    `position_based.learn_attention` learns P(examined), and says what it rests on and where it comes from.
    The prior bounds what one act can count (inverse propensity, clipped).
    """

    def __init__(self, log: ClickLog) -> None:
        self._log = log
        self._all = _pooled(log)
        self.attention = learn_attention(log)

    def _looks(self, query: str, cells: Mapping[int, Cell]) -> float:
        unlogged = self.attention.sessions[query] / self._log.sessions[query]
        return unlogged * sum(cell.impressions * self.attention.examined(k) for k, cell in cells.items())

    def grades(self) -> Grades:
        """See `ClickModel`."""
        looks = {
            query: {item: self._looks(query, cells) for item, cells in items.items()}
            for query, items in self._log.cells.items()
        }
        mean = self._all.grades / max(sum(sum(items.values()) for items in looks.values()), 1e-9)
        grades: Grades = {}
        for query, items in self._log.cells.items():
            grades[query] = {}
            for item, cells in items.items():
                total, seen = _item(cells), looks[query][item]
                grades[query][item] = Grade(
                    total.grades / (seen + PRIOR_LOOKS),
                    _gain(total.grades, seen * mean),
                    total.grades / self._all.worth,
                    seen,
                )
        return grades

    def predict(self, session: Session) -> list[float]:
        """See `ClickModel`. Given that the session is in the log, as those are to which it is compared."""
        attraction = self.attention.attraction.get(session.query, {})
        unlogged = self.attention.sessions.get(session.query, 1.0) / max(self._log.sessions[session.query], 1)
        return [
            unlogged * self.attention.examined(showing.position) * attraction.get(showing.item, self._all.rate)
            for showing in session.shown
        ]


class SimplifiedDbn:
    """A cascade: people look from top to bottom, act on what attracts them, and stop when they are satisfied.

        attraction(q, d)   = acts / showings at or above the last act of their session
        satisfaction(q, d) = showings that were the last act / acts
        target(q, d)       = satisfaction * sum of grades / (showings at or above the last act + PRIOR_LOOKS)
        gain(q, d)         = min(ratio, MAX_RATIO) - 1, at least 0, with ratio = the same without prior, over
                             that of the log

    What lies below the last act was never examined, and says nothing. Predicts P(act at k) =
    P(examined at k) * attraction, where the place below an act is examined with 1 - satisfaction, and the place
    below one without an act with the probability that this one was examined in vain (Bayes).

    Source: the simplified dynamic Bayesian network of Chapelle and Zhang, "A dynamic Bayesian network click
    model for web search ranking", WWW 2009, section 4.1 (everybody goes on who is not satisfied).
    """

    def __init__(self, log: ClickLog) -> None:
        self._log = log
        self._all = _pooled(log)
        totals = [_item(cells) for items in log.cells.values() for cells in items.values()]
        passed, last = sum(total.passed for total in totals), sum(total.last for total in totals)
        self._attraction = self._all.acts / passed if passed else 0.0
        self._satisfaction = last / self._all.acts if self._all.acts else 0.0

    def grades(self) -> Grades:
        """See `ClickModel`."""
        mean = self._attraction * self._satisfaction * self._all.worth
        grades: Grades = {}
        for query, items in self._log.cells.items():
            grades[query] = {}
            for item, cells in items.items():
                total = _item(cells)
                satisfied = total.grades * total.last / total.acts if total.acts else 0.0
                evidence = total.passed + PRIOR_LOOKS
                grades[query][item] = Grade(
                    satisfied / evidence,
                    _gain(satisfied, total.passed * mean),
                    satisfied / self._all.worth,
                    total.passed,
                )
        return grades

    def predict(self, session: Session) -> list[float]:
        """See `ClickModel`."""
        items = self._log.cells.get(session.query, {})
        chances, examined = [], 1.0
        for showing in session.shown:
            total = _item(items.get(showing.item, {}))
            attraction = (total.acts + PRIOR_SHOWINGS * self._attraction) / (total.passed + PRIOR_SHOWINGS)
            satisfaction = (total.last + PRIOR_SHOWINGS * self._satisfaction) / (total.acts + PRIOR_SHOWINGS)
            chance = examined * min(attraction, 1 - SURE)
            chances.append(chance)
            examined = 1 - satisfaction if showing.grade > 0 else (examined - chance) / (1 - chance)
        return chances


def _gain(got: float, expected: float) -> float:
    return max(0.0, min(got / expected, MAX_RATIO) - 1.0) if expected > 0 else 0.0


CORRECTIONS: Mapping[str, Callable[[ClickLog], ClickModel]] = {
    "none": MeanGrade,
    "rank_ctr": RankCtr,
    "pbm": PositionBased,
    "sdbn": SimplifiedDbn,
}
"""By the name in the settings; `auto` chooses one of them (see `click_models`)."""

AUTO = "auto"
