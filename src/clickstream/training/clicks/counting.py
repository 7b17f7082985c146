"""Click models that only count: the mean grade without a correction, and rank-based click-through rate."""

from typing_extensions import override

from clickstream.training.clicks.click_log import Cell, ClickLog, LoggedSession
from clickstream.training.clicks.labels import (
    PRIOR_SHOWINGS,
    ClickModel,
    Label,
    Labels,
    gain_of,
    in_any_session,
    item_totals,
    log_totals,
)

# Pseudo-showings at the mean rate, added to each position so that a rarely shown one cannot look best by chance.
RARE_SHOWINGS = 20.0

# Acts that `rank_ctr` adds to the expected ones, so that a ratio counts only once several acts are behind it.
PRIOR_ACTS = 2.0


class MeanGrade(ClickModel):
    """No correction: target and gain are the mean grade per showing, in units of the importance policy.

    Predicts by the same: P(act on d for q) = its acts per showing. Source: the document-based CTR model in
    Chuklin, Markov and de Rijke, "Click Models for Web Search", 2015, section 3.2.
    """

    def __init__(self, log: ClickLog) -> None:
        self._log = log
        self._all = log_totals(log)

    @override
    def labels(self) -> Labels:
        labels: Labels = {}
        for query, items in self._log.cells.items():
            labels[query] = {}
            for item, cells in items.items():
                total = item_totals(cells)
                mean = total.grades / total.impressions
                acts = total.grades / self._all.mean_grade
                labels[query][item] = Label(target=mean, gain=mean, acts=acts, looks=total.impressions)
        return labels

    @override
    def predict(self, session: LoggedSession) -> list[float]:
        items = self._log.cells.get(session.query, {})
        totals = [item_totals(items.get(showing.item, {})) for showing in session.shown]
        prior = PRIOR_SHOWINGS * self._all.act_rate
        rates = [(total.acts + prior) / (total.impressions + PRIOR_SHOWINGS) for total in totals]
        return in_any_session(self._log, session.query, rates)


class RankCtr(ClickModel):
    """Clicks over expected clicks (COEC), where a position's expectation is its mean grade over the log.

        expected(q, d) = sum over the showings of d for q of mean grade(position)
        target(q, d)   = sum of grades(q, d) / (expected(q, d) + prior)
        gain(q, d)     = min(sum of grades(q, d) / expected(q, d), MAX_RATIO) - 1, at least 0

    The prior is `PRIOR_ACTS` acts of the log's mean grade: without it, one chance click where clicks are rare would
    teach more than thirty at the top. The gain has no prior and is clipped instead; it counts an item as relevant
    when more was done with it than with the average item at its positions. Neither has a unit: multiplying the
    policy's grades by a factor changes nothing.

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
        self._all = log_totals(log)
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
        added = RARE_SHOWINGS * self._all.act_rate
        rates = {k: (cell.acts + added) / (cell.impressions + RARE_SHOWINGS) for k, cell in total.items()}
        highest = max(rates.values(), default=0.0) or 1.0
        self._attention = {position: rate / highest for position, rate in rates.items()}

    @override
    def labels(self) -> Labels:
        prior = PRIOR_ACTS * self._all.mean_grade
        labels: Labels = {}
        for query, items in self._log.cells.items():
            labels[query] = {}
            for item, cells in items.items():
                total = item_totals(cells)
                expected = sum(cell.impressions * self._mean_grade[position] for position, cell in cells.items())
                labels[query][item] = Label(
                    target=total.grades / (expected + prior),
                    gain=gain_of(total.grades, expected),
                    acts=total.grades / self._all.mean_grade,
                    looks=sum(cell.impressions * self._attention[position] for position, cell in cells.items()),
                )
        return labels

    def predict_by_position(self, session: LoggedSession) -> list[float]:
        """Predicts by the position alone, as acts per showing: the baseline that every click model is compared with."""
        return in_any_session(self._log, session.query, self._rates(session))

    def _rates(self, session: LoggedSession) -> list[float]:
        return [self._mean_acts.get(showing.position, self._all.act_rate) for showing in session.shown]

    @override
    def predict(self, session: LoggedSession) -> list[float]:
        items = self._log.cells.get(session.query, {})
        chances = []
        for showing, rate in zip(session.shown, self._rates(session), strict=True):
            cells = items.get(showing.item, {})
            expected = sum(cell.impressions * self._mean_acts[position] for position, cell in cells.items())
            chances.append(rate * (item_totals(cells).acts + PRIOR_ACTS) / (expected + PRIOR_ACTS))
        return in_any_session(self._log, session.query, chances)
