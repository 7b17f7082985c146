"""The sessions by which click models are compared."""

import numpy as np
from numpy.typing import NDArray

from clickstream.training.clicks.click_log import Ints, Sessions

# Share of the sessions by which click models are compared.
HELD_OUT_SHARE = 0.2

# The most sessions by which click models are compared: memory must not grow with the log.
HELD_OUT_SESSIONS = 5_000


Draws = NDArray[np.uint64]


class HeldOutSample:
    """Holds out a fixed share of the sessions, chosen by a draw of each: the same sessions in any order of reading."""

    def __init__(self) -> None:
        self._kept = Sessions.joined([])
        self._draws = np.zeros(0, np.uint64)

    def offer(self, draws: Draws, sessions: Sessions) -> tuple[Draws, Sessions]:
        """Offers sessions to the sample.

        Args:
            draws: A number for each session, uniformly distributed over 64 bits: a hash of its id. Sessions with a
                draw in the lowest `HELD_OUT_SHARE` are held out; of too many, those with the lowest draws stay.
            sessions: The sessions.

        Returns:
            The sessions to count, with their draws: those not kept, and those evicted for others.
        """
        held_out = draws < int(HELD_OUT_SHARE * 2**64)
        counted_draws, counted = draws[~held_out], sessions.take(np.flatnonzero(~held_out))
        candidates = Sessions.joined([self._kept, sessions.take(np.flatnonzero(held_out))])
        draws = np.concatenate([self._draws, draws[held_out]])
        if len(draws) <= HELD_OUT_SESSIONS:
            self._kept, self._draws = candidates, draws
            return counted_draws, counted
        stays = np.zeros(len(draws), np.bool_)
        stays[np.argsort(draws, kind="stable")[:HELD_OUT_SESSIONS]] = True
        self._kept, self._draws = candidates.take(np.flatnonzero(stays)), draws[stays]
        evicted = candidates.take(np.flatnonzero(~stays))
        return np.concatenate([counted_draws, draws[~stays]]), Sessions.joined([counted, evicted])

    @property
    def sessions(self) -> Sessions:
        """The sessions that were kept, in an order that depends on their draws only."""
        return self._kept.take(self._order())

    @property
    def draws(self) -> Draws:
        """The draw of each of `sessions`."""
        return self._draws[self._order()]

    def _order(self) -> Ints:
        order: Ints = np.argsort(self._draws, kind="stable")[::-1]
        return order
