"""The cascade among the click models."""

import numpy as np
from typing_extensions import override

from clickstream.training.clicks.click_log import Counts, Floats
from clickstream.training.clicks.labels import PRIOR_LOOKS, PRIOR_SHOWINGS, ClickModel, Labels, ShownLists, gain_of

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

    def __init__(self, log: Counts) -> None:
        self._log = log
        passed, last = float(log.pairs.passed.sum()), float(log.pairs.last.sum())
        self._attraction = log.acts / passed if passed else 0.0
        self._satisfaction = last / log.acts if log.acts else 0.0

    @override
    def labels(self) -> Labels:
        pairs, mean_grade = self._log.pairs, self._log.mean_grade
        satisfied = pairs.grades * self._satisfied()
        return Labels(
            target=satisfied / (pairs.passed + PRIOR_LOOKS),
            gain=gain_of(satisfied, pairs.passed * (self._attraction * self._satisfaction * mean_grade)),
            acts=satisfied / mean_grade,
            looks=pairs.passed,
        )

    def _satisfied(self) -> Floats:
        """The satisfaction of each pair, [N]."""
        pairs = self._log.pairs
        return (pairs.last + PRIOR_SHOWINGS * self._satisfaction) / (pairs.acts + PRIOR_SHOWINGS)

    @override
    def predict(self, lists: ShownLists) -> Floats:
        pairs = self._log.pairs
        attraction = (pairs.acts + PRIOR_SHOWINGS * self._attraction) / (pairs.passed + PRIOR_SHOWINGS)
        attractions = np.minimum(lists.of_pairs(attraction, self._attraction), 1 - SURE)
        satisfactions = lists.of_pairs(self._satisfied(), self._satisfaction)
        chances, examined = np.zeros_like(attractions), np.ones(len(attractions))
        for place in range(attractions.shape[1]):
            chance = chances[:, place] = examined * attractions[:, place]
            acted = lists.grade[:, place] > 0
            examined = np.where(acted, 1 - satisfactions[:, place], (examined - chance) / (1 - chance))
        return chances
