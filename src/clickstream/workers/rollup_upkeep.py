"""Keeps roll-ups up to date: makes the rows of ranges again that were written, and the rows of days that ended (R26).

One worker at a time does it, under a lease. Two workers at once would do no harm: a row is replaced as a whole,
and only if no other worker replaced it meanwhile. The place in the stream of changes is stored after everything up to
it is made. So a worker that dies leaves nothing to repair: the next one goes on at that place.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from clickstream.analytics.rollups import RollUps
from clickstream.dao.interface.analytics import Changes, RollUpState
from clickstream.dao.interface.robots import VerdictFilter
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.analytics import RangeKey, day_of
from clickstream.domain.errors import Unavailable
from clickstream.quality.robot_judging import RobotJudging

LEASE = timedelta(seconds=20)
RENEW_SECONDS = 5.0
# Before it is tried again: the lease, or a store that does not answer.
PAUSE_SECONDS = 1.0
# A day's row costs as much as all its ranges: while events still come, it is made at most this often.
DAY_SECONDS = 30.0
# While nothing is written, how far it is gets stored this often: each time is a write that a majority acknowledges.
IDLE_SECONDS = 2.0
# Before a row that could not be made is tried again. Until it is made, the figures are not said to be more exact.
FAILED_SECONDS = 60.0

logger = logging.getLogger(__name__)


class RollUpUpkeep:
    """The upkeep of roll-ups by one worker. Blocks in a thread of its own until it is stopped.

    Args:
        dao: The store.
        roll_ups: Makes the rows.
        judging: Judges the users of days that ended.
        owner: The worker's own name.
        clock: The current time, in UTC.
        stopped: Ends the work once it is set, after the row in hand.
        free_for: Takes the lease only if nobody had it for this long: workers come before serving processes.
        share: The share of the time that it works while it catches up, 0 to 1: a serving process has calls to answer.
    """

    def __init__(
        self,
        dao: ClickstreamDao,
        roll_ups: RollUps,
        judging: RobotJudging,
        owner: str,
        clock: Callable[[], datetime],
        stopped: threading.Event,
        free_for: timedelta = timedelta(),
        share: float = 1.0,
    ) -> None:
        self._dao = dao
        self._roll_ups = roll_ups
        self._judging = judging
        self._owner = owner
        self._clock = clock
        self._free_for = free_for
        self._share = share
        self._stopped = stopped
        self._renew_at = 0.0
        self._store_at = 0.0
        self._started = clock()
        # What is still to be made, each with the earliest time of its making.
        self._ranges: dict[RangeKey, float] = {}
        self._days: dict[int, float] = {}
        self._everything = False
        # The newest robot verdict whose day's row is made or due.
        self._verdicts = 0

    def run(self) -> None:
        """Keeps the roll-ups up to date until it is stopped. No error of the store ends it."""
        while not self._stopped.is_set():
            try:
                if self._has_lease(now=True):
                    self._follow()
            except Unavailable as error:
                logger.warning("roll-ups are postponed: %s", error)
            except Exception:
                if self._stopped.is_set():  # the connection was closed under a row in hand
                    return
                logger.exception("roll-ups are postponed")
            self._stopped.wait(PAUSE_SECONDS)
        try:
            self._dao.analytics.release_lease(self._owner, self._clock())
        except Unavailable as error:
            logger.warning("the lease of the roll-ups ends by itself: %s", error)

    def _has_lease(self, *, now: bool = False) -> bool:
        if not now and time.monotonic() < self._renew_at:
            return True
        at = self._clock()
        if now and self._free_for and at - (self._dao.analytics.free_since() or self._started) < self._free_for:
            return False
        self._renew_at = time.monotonic() + RENEW_SECONDS
        return self._dao.analytics.take_lease(self._owner, at, at + LEASE)

    def _follow(self) -> None:
        """Follows the writes from where the last worker was, or makes everything first."""
        state = self._dao.analytics.state()
        self._verdicts = self._dao.robots.newest()
        self._everything = state.resume_token is None or state.rules != self._roll_ups.digest
        self._ranges.clear()
        self._days = {day: 0.0 for head in self._dao.analytics.range_heads() for day in head.days}
        token = None if self._everything else state.resume_token
        if self._everything:
            logger.info("all roll-ups are made anew")
        if not self._dao.analytics.follow_writes(token, self._on_changes, self._stopped.is_set):
            logger.warning("the place in the stream of changes is lost: all roll-ups are made anew")
            self._dao.analytics.set_state(RollUpState(), self._owner)

    def _on_changes(self, changes: Changes) -> bool:
        """Makes what changed, and then stores how far it is. Returns whether to go on."""
        if not self._may_go_on():  # also while there is nothing to make: a lease that ends gives the work away
            return False
        self._ranges |= dict.fromkeys(changes.ranges, 0.0)
        if self._everything:
            self._ranges |= dict.fromkeys(self._dao.analytics.all_ranges(), 0.0)
            self._everything = False
        if not self._make_ranges():
            return False
        if not self._ranges and (changes.ranges or time.monotonic() >= self._store_at):
            self._store_at = time.monotonic() + IDLE_SECONDS
            state = RollUpState(changes.resume_token, changes.exact_until, self._roll_ups.digest)
            if not self._dao.analytics.set_state(state, self._owner):
                return False
            self._note_verdicts()
        return self._make_days()

    def _make_ranges(self) -> bool:
        """Makes the rows of the changed ranges; one that fails waits for another time. Returns whether to go on."""
        for key, due in sorted(self._ranges.items()):
            if due > time.monotonic():
                continue
            if not self._may_go_on():
                return False
            began = time.monotonic()
            try:
                days = self._roll_ups.make_range(key)
            except Unavailable:
                raise
            except Exception:
                # Its content stands in no log: its key is enough to find it.
                logger.exception("the roll-up of batch %d from session %d cannot be made", key.batch, key.first)
                self._ranges[key] = time.monotonic() + FAILED_SECONDS
                continue
            del self._ranges[key]
            self._note_days(days)
            self._rest(began)
        return True

    def _note_days(self, days: Iterable[int]) -> None:
        due = time.monotonic() + DAY_SECONDS
        for day in days:
            self._days.setdefault(day, due)

    def _note_verdicts(self) -> None:
        """The rows of days about which there are new robot verdicts are due: they count robots apart."""
        newest = self._dao.robots.newest()
        if newest == self._verdicts:
            return
        after = self._verdicts
        found = self._dao.robots.list(VerdictFilter(), None, newest - after)
        if any(each.undoes_all for each in found):
            found = self._dao.robots.list(VerdictFilter(), None, newest)
        self._days |= {each.day: 0.0 for each in found if not each.undoes_all}
        self._verdicts = newest

    def _make_days(self) -> bool:
        """Makes the rows of days that have ended and are due. Returns whether to go on."""
        today = day_of(datetime.now(UTC))
        for day, due in sorted(self._days.items()):
            if day >= today or due > time.monotonic():
                continue
            if not self._may_go_on():
                return False
            began = time.monotonic()
            self._judging.judge_day(day)
            self._roll_ups.make_day(day)
            del self._days[day]
            self._rest(began)
        return True

    def _may_go_on(self) -> bool:
        return not self._stopped.is_set() and self._has_lease()

    def _rest(self, began: float) -> None:
        if self._share < 1:
            self._stopped.wait((time.monotonic() - began) * (1 / self._share - 1))
