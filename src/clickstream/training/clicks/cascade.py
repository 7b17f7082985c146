"""The cascade among the click models."""

from clickstream.training.clicks.click_log import ClickLog, Session
from clickstream.training.clicks.labels import (
    PRIOR_LOOKS,
    PRIOR_SHOWINGS,
    Grade,
    Grades,
    ItemTotals,
    gain_of,
    item_of,
    totals_of,
)

SURE = 1e-6
"""No item attracts with certainty."""


class SimplifiedDbn:
    """A cascade: people look from top to bottom, act on what attracts them, and stop when they are satisfied.

        attraction(q, d)   = acts / showings at or above the last act of their session
        satisfaction(q, d) = (showings that were the last act + prior) / (acts + PRIOR_SHOWINGS)
        target(q, d)       = satisfaction * sum of grades / (showings at or above the last act + PRIOR_LOOKS)
        gain(q, d)         = min(ratio, MAX_RATIO) - 1, at least 0, with ratio = the same without prior, over
                             that of the log

    The prior is `PRIOR_SHOWINGS` at the log's mean satisfaction, so that an act is never worth nothing: nobody's
    choice becomes a negative. What lies below the last act was never examined, and says nothing. Predicts P(act at k) =
    P(examined at k) * attraction, where the place below an act is examined with 1 - satisfaction, and the place
    below one without an act with the probability that this one was examined in vain (Bayes).

    Source: the simplified dynamic Bayesian network of Chapelle and Zhang, "A dynamic Bayesian network click
    model for web search ranking", WWW 2009, section 4.1 (everybody goes on who is not satisfied).
    """

    def __init__(self, log: ClickLog) -> None:
        self._log = log
        self._all = totals_of(log)
        totals = [item_of(cells) for items in log.cells.values() for cells in items.values()]
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
                total = item_of(cells)
                satisfied = total.grades * self._satisfied(total)
                evidence = total.passed + PRIOR_LOOKS
                grades[query][item] = Grade(
                    satisfied / evidence,
                    gain_of(satisfied, total.passed * mean),
                    satisfied / self._all.worth,
                    total.passed,
                )
        return grades

    def _satisfied(self, total: ItemTotals) -> float:
        return (total.last + PRIOR_SHOWINGS * self._satisfaction) / (total.acts + PRIOR_SHOWINGS)

    def predict(self, session: Session) -> list[float]:
        """See `ClickModel`."""
        items = self._log.cells.get(session.query, {})
        chances, examined = [], 1.0
        for showing in session.shown:
            total = item_of(items.get(showing.item, {}))
            attraction = (total.acts + PRIOR_SHOWINGS * self._attraction) / (total.passed + PRIOR_SHOWINGS)
            satisfaction = self._satisfied(total)
            chance = examined * min(attraction, 1 - SURE)
            chances.append(chance)
            examined = 1 - satisfaction if showing.grade > 0 else (examined - chance) / (1 - chance)
        return chances
