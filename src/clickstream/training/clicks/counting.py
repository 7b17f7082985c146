"""Click models that only count: the mean grade without a correction, and rank-based click-through rate."""

import numpy as np
from typing_extensions import override

from clickstream.training.clicks.click_log import Counts, Floats, Ints
from clickstream.training.clicks.labels import (
    PRIOR_SHOWINGS,
    ClickModel,
    Labels,
    ShownLists,
    gain_of,
    in_any_session,
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

    def __init__(self, log: Counts) -> None:
        self._log = log

    @override
    def labels(self) -> Labels:
        pairs = self._log.pairs
        mean = pairs.grades / pairs.impressions
        return Labels(target=mean, gain=mean, acts=pairs.grades / self._log.mean_grade, looks=pairs.impressions)

    @override
    def predict(self, lists: ShownLists) -> Floats:
        pairs, prior = self._log.pairs, PRIOR_SHOWINGS * self._log.act_rate
        rates = (pairs.acts + prior) / (pairs.impressions + PRIOR_SHOWINGS)
        return in_any_session(self._log, lists, lists.of_pairs(rates, prior / PRIOR_SHOWINGS))


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

    def __init__(self, log: Counts) -> None:
        self._log = log
        self._positions, place = log.positions
        cells = log.cells
        impressions, acts, grades = (
            np.bincount(place, column, len(self._positions)) for column in (cells.impressions, cells.acts, cells.grades)
        )
        self._mean_acts = acts / impressions
        rates = (acts + RARE_SHOWINGS * log.act_rate) / (impressions + RARE_SHOWINGS)
        attention = rates / (rates.max(initial=0.0) or 1.0)
        self._expected_grades, self._expected_acts, self._looks = (
            log.per_pair(cells.impressions * by_position[place])
            for by_position in (grades / impressions, self._mean_acts, attention)
        )

    @override
    def labels(self) -> Labels:
        grades, mean_grade = self._log.pairs.grades, self._log.mean_grade
        return Labels(
            target=grades / (self._expected_grades + PRIOR_ACTS * mean_grade),
            gain=gain_of(grades, self._expected_grades),
            acts=grades / mean_grade,
            looks=self._looks,
        )

    def predict_by_position(self, lists: ShownLists) -> Floats:
        """Predicts by the position alone, as acts per showing: the baseline that every click model is compared with."""
        return in_any_session(self._log, lists, self._rates(lists.position))

    def _rates(self, position: Ints) -> Floats:
        """The act rate of each position; that of the log for positions that it lacks."""
        if not len(self._positions):
            return np.full(position.shape, self._log.act_rate)
        place = np.minimum(np.searchsorted(self._positions, position), len(self._positions) - 1)
        return np.where(self._positions[place] == position, self._mean_acts[place], self._log.act_rate)

    @override
    def predict(self, lists: ShownLists) -> Floats:
        ratios = (self._log.pairs.acts + PRIOR_ACTS) / (self._expected_acts + PRIOR_ACTS)
        return in_any_session(self._log, lists, self._rates(lists.position) * lists.of_pairs(ratios, 1.0))
