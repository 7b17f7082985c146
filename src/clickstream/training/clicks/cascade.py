"""The cascade among the click models."""

from typing_extensions import override

from clickstream.training.clicks.click_log import ClickLog, LoggedSession
from clickstream.training.clicks.labels import (
    PRIOR_LOOKS,
    PRIOR_SHOWINGS,
    ClickModel,
    ItemTotals,
    Label,
    Labels,
    gain_of,
    item_totals,
    log_totals,
)

# No item attracts with certainty: the chance of an act stays this far below 1.
SURE = 1e-6


class SimplifiedDbn(ClickModel):
    """A cascade: people look from top to bottom, act on what attracts them, and stop when they are satisfied.

        attraction(q, d)   = acts / showings at or above the last act of their session
        satisfaction(q, d) = (showings that were the last act + prior) / (acts + PRIOR_SHOWINGS)
        target(q, d)       = satisfaction * sum of grades / (showings at or above the last act + PRIOR_LOOKS)
        gain(q, d)         = min(ratio, MAX_RATIO) - 1, at least 0, with ratio = the same without prior, over
                             that of the log

    The prior is `PRIOR_SHOWINGS` at the log's mean satisfaction, so that every act counts for something: an item that
    was acted on never becomes a negative. Items below the last act were never examined, so they are no evidence.

    Predicts P(act at k) = P(examined at k) * attraction. The place below an act is examined with probability
    1 - satisfaction; the place below one without an act with the probability that this one was examined and did not
    attract (Bayes).

    Source: the simplified dynamic Bayesian network of Chapelle and Zhang, "A dynamic Bayesian network click
    model for web search ranking", WWW 2009, section 4.1 (people continue until they are satisfied).
    """

    def __init__(self, log: ClickLog) -> None:
        self._log = log
        self._all = log_totals(log)
        totals = [item_totals(cells) for items in log.cells.values() for cells in items.values()]
        passed, last = sum(total.passed for total in totals), sum(total.last for total in totals)
        self._attraction = self._all.acts / passed if passed else 0.0
        self._satisfaction = last / self._all.acts if self._all.acts else 0.0

    @override
    def labels(self) -> Labels:
        mean = self._attraction * self._satisfaction * self._all.mean_grade
        labels: Labels = {}
        for query, items in self._log.cells.items():
            labels[query] = {}
            for item, cells in items.items():
                total = item_totals(cells)
                satisfied = total.grades * self._satisfied(total)
                labels[query][item] = Label(
                    target=satisfied / (total.passed + PRIOR_LOOKS),
                    gain=gain_of(satisfied, total.passed * mean),
                    acts=satisfied / self._all.mean_grade,
                    looks=total.passed,
                )
        return labels

    def _satisfied(self, total: ItemTotals) -> float:
        return (total.last + PRIOR_SHOWINGS * self._satisfaction) / (total.acts + PRIOR_SHOWINGS)

    @override
    def predict(self, session: LoggedSession) -> list[float]:
        items = self._log.cells.get(session.query, {})
        chances, examined = [], 1.0
        for showing in session.shown:
            total = item_totals(items.get(showing.item, {}))
            attraction = (total.acts + PRIOR_SHOWINGS * self._attraction) / (total.passed + PRIOR_SHOWINGS)
            satisfaction = self._satisfied(total)
            chance = examined * min(attraction, 1 - SURE)
            chances.append(chance)
            examined = 1 - satisfaction if showing.grade > 0 else (examined - chance) / (1 - chance)
        return chances
