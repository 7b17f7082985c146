"""What a click model makes of a log: a label for each query and item, and a prediction for each session."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from clickstream.training.clicks.click_log import Counts, Flags, Floats, Ints, Sessions

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

# Asks whether the run may go on; what it raises passes through.
Tick = Callable[[], None]


class Labels(NamedTuple):
    """What a log says about each of its N pairs of a query and an item, in the order of `Counts.pairs`.

    Every column is [N] and at least 0, and comparable within a query only.

    Training and measuring need different numbers. `target` is what training aims at: an error in it trains a wrong
    answer, so it leans towards items that were seen often. `gain` is what measuring counts: its errors average out
    over queries, but leaning towards items that were seen often would favour the base model's own order, so it takes
    each item for itself.

    `acts` and `looks` are the evidence: how much was done with the item, in acts of the log's mean grade, and how
    often it was examined, as estimated by the correction. Taken as Poisson, the item's acts per look have a standard
    deviation of sqrt(acts) / looks.
    """

    target: Floats
    gain: Floats
    acts: Floats
    looks: Floats

    @property
    def is_unknown(self) -> Flags:
        """Whether each item was probably never examined, so that it was not turned down either; [N]."""
        unknown: Flags = (self.target <= 0) & (np.exp(-self.looks) >= UNKNOWN_FROM)
        return unknown


class ShownLists(NamedTuple):
    """S shown lists as a table of at most P places; every column but `query` [S] is [S, P].

    `pair` is the index into `Counts.pairs` of a log, or -1 where the log has no such pair. `shown` is false in the
    places beyond the end of a list.
    """

    query: Ints
    pair: Ints
    position: Ints
    grade: Floats
    shown: Flags

    def without_acts(self) -> "ShownLists":
        """The same lists, with nothing done."""
        return self._replace(grade=np.zeros_like(self.grade))

    def of_pairs(self, values: Floats, otherwise: float) -> Floats:
        """The value of each place's pair, and another value where the log has no such pair; [S, P]."""
        return np.append(values, otherwise)[self.pair]


def shown_lists(log: Counts, sessions: Sessions) -> ShownLists:
    """Lays sessions out as a table, and looks their items up in a log."""
    shown = np.arange(sessions.length.max(initial=0)) < sessions.length[:, None]
    pair, position, grade = np.full(shown.shape, -1), np.zeros(shown.shape, np.int64), np.zeros(shown.shape)
    pair[shown] = log.find(sessions.query[sessions.session], sessions.item)
    position[shown], grade[shown] = sessions.position, sessions.grade
    return ShownLists(sessions.query, pair, position, grade, shown)


class ClickModel(Protocol):
    """A click model that has learned from a log."""

    def labels(self) -> Labels:
        """Labels every item of the log for every query that it was shown for."""
        ...

    def predict(self, lists: ShownLists) -> Floats:
        """Predicts P(act) for each place of the lists, given the acts above that place; [S, P].

        The probability is over all sessions, also those without an act, which a log may lack. In places beyond the
        end of a list it means nothing.
        """
        ...


def in_any_session(log: Counts, lists: ShownLists, chances: Floats) -> Floats:
    """Turns acts per logged showing into P(act) for each place of any session, also one that the log lacks.

        p(k) = P(act at k | some act) * P(some act), with P(some act) = 1 - product over k of (1 - p(k))

    This takes acts as independent of each other, and p is found by iteration. Whatever share of the sessions
    without an act the log has, P(act at k | some act) = acts per showing * sessions / sessions with an act.

    Args:
        log: The log in which the chances were counted.
        lists: The lists. The sessions of their query give that share; a query without an act takes that of the log.
        chances: Acts per showing, [S, P].

    Returns:
        Probabilities, [S, P].
    """
    sessions, with_act = (_of_queries(counts, lists.query) for counts in (log.sessions, log.sessions_with_act))
    share = log.sessions.sum() / log.sessions_with_act.sum() if log.sessions_with_act.any() else 1.0
    share = np.where(with_act > 0, sessions / np.maximum(with_act, 1.0), share)
    given_some = np.where(lists.shown, chances * share[:, None], 0.0)
    some = np.ones((len(given_some), 1))
    for _ in range(ROUNDS):
        none = np.prod(1 - np.minimum(some * given_some, 1.0), axis=1, keepdims=True)
        some = np.maximum(1 - none, LEAST_SOME)
    in_any: Floats = some * given_some
    return in_any


def _of_queries(counts: Floats, query: Ints) -> Floats:
    known = query < len(counts)
    found = np.zeros(len(query))
    found[known] = counts[query[known]]
    return found


def gain_of(got: Floats, expected: Floats) -> Floats:
    """How much more was done than expected, as a share of that: 0 to `MAX_RATIO` - 1; 0 where nothing was expected."""
    ratio = np.divide(got, expected, out=np.zeros_like(got), where=expected > 0)
    gain: Floats = np.maximum(np.minimum(ratio, MAX_RATIO) - 1.0, 0.0)
    return gain
