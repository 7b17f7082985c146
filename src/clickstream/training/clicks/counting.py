"""Position bias: from what was shown where, and what was done with it, to one grade per query and item.

Each correction is a click model: it grades what a log says, and predicts the acts of sessions that it did
not see, by which corrections are compared (R18).
"""

from clickstream.training.clicks.click_log import Cell, ClickLog, Session
from clickstream.training.clicks.labels import (
    PRIOR_SHOWINGS,
    Grade,
    Grades,
    gain_of,
    in_any_session,
    item_of,
    totals_of,
)

RARE_SHOWINGS = 20.0
"""Showings at the log's mean act rate that are added to each position: a rare one would else lead."""

PRIOR_ACTS = 2.0
"""Acts that `rank_ctr` adds to what is expected before it believes a ratio."""


class MeanGrade:
    """No correction: target and gain are the mean grade per showing, in units of the importance policy.

    Predicts by the same: P(act on d for q) = its acts per showing. Source: the document-based CTR model in
    Chuklin, Markov and de Rijke, "Click Models for Web Search", 2015, section 3.2.
    """

    def __init__(self, log: ClickLog) -> None:
        self._log = log
        self._all = totals_of(log)

    def grades(self) -> Grades:
        """See `ClickModel`."""
        grades: Grades = {}
        for query, items in self._log.cells.items():
            grades[query] = {}
            for item, cells in items.items():
                total = item_of(cells)
                mean = total.grades / total.impressions
                grades[query][item] = Grade(mean, mean, total.grades / self._all.worth, total.impressions)
        return grades

    def predict(self, session: Session) -> list[float]:
        """See `ClickModel`."""
        items = self._log.cells.get(session.query, {})
        totals = [item_of(items.get(showing.item, {})) for showing in session.shown]
        prior = PRIOR_SHOWINGS * self._all.rate
        rates = [(total.acts + prior) / (total.impressions + PRIOR_SHOWINGS) for total in totals]
        return in_any_session(self._log, session.query, rates)


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
        self._all = totals_of(log)
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
                total = item_of(cells)
                expected = sum(cell.impressions * self._mean_grade[position] for position, cell in cells.items())
                grades[query][item] = Grade(
                    total.grades / (expected + prior),
                    gain_of(total.grades, expected),
                    total.grades / self._all.worth,
                    sum(cell.impressions * self._attention[position] for position, cell in cells.items()),
                )
        return grades

    def predict_by_position(self, session: Session) -> list[float]:
        """Acts per showing of each position: the baseline that every click model is compared with."""
        return in_any_session(self._log, session.query, self._rates(session))

    def _rates(self, session: Session) -> list[float]:
        return [self._mean_acts.get(showing.position, self._all.rate) for showing in session.shown]

    def predict(self, session: Session) -> list[float]:
        """See `ClickModel`."""
        items = self._log.cells.get(session.query, {})
        chances = []
        for showing, rate in zip(session.shown, self._rates(session), strict=True):
            cells = items.get(showing.item, {})
            expected = sum(cell.impressions * self._mean_acts[position] for position, cell in cells.items())
            chances.append(rate * (item_of(cells).acts + PRIOR_ACTS) / (expected + PRIOR_ACTS))
        return in_any_session(self._log, session.query, chances)
