"""Makes the rows of roll-ups from what is stored, and reads their frames."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from clickstream.analytics import columns
from clickstream.analytics.day_frames import RangeParts, day_searches, day_values
from clickstream.analytics.frame_bytes import pack, unpack
from clickstream.analytics.frame_rules import FrameRules
from clickstream.analytics.range_frames import make_range
from clickstream.analytics.range_making import RangeFrames
from clickstream.dao.interface.analytics import DayHead, RangeHead
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.analytics import RangeKey, user_key
from clickstream.domain.sessions import StoredSession

# A row that others replace all the time is made at most this often before it waits for the next look.
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Robots:
    """The users, by `user_key`, who count as robots on UTC days, as of a number of the list of verdicts."""

    number: int = 0
    by_day: Mapping[int, Set[int]] = field(default_factory=dict)

    def of(self, day: int) -> Set[int]:
        """Those of a day."""
        return self.by_day.get(day, frozenset())


class RollUps:
    """Makes and reads roll-ups by the given rules. Blocks; any number of threads and processes may do it at once."""

    def __init__(self, dao: ClickstreamDao, rules: FrameRules) -> None:
        self._dao = dao
        self.rules = rules
        self.digest = rules.digest()

    def make_range(self, key: RangeKey) -> frozenset[int]:
        """Makes the row of a range again, from its sessions and events as they are now.

        Returns:
            The UTC days of its sessions, now or at the making before.

        Raises:
            RuntimeError: Others replaced the row at each attempt.
        """
        for _ in range(ATTEMPTS):
            # The version is read first: if the row is replaced after this, its new row is not overwritten.
            before = self._dao.analytics.range_head(key)
            made = self.frames_now(key)
            version = before.version + 1 if before else 1
            head = RangeHead(key, version, made.days, self.digest, made.totals)
            frames = {columns.SEARCHES: pack(made.searches), columns.SHOWINGS: pack(made.showings)}
            if self._dao.analytics.replace_range(head, frames):
                return frozenset(made.days).union(before.days if before else ())
        raise RuntimeError(f"the row of {key} was replaced by others {ATTEMPTS} times")

    def frames_now(self, key: RangeKey, rules: FrameRules | None = None) -> RangeFrames:
        """The frames of a range from its sessions and events as they are now, by other rules if they are given."""
        return make_range(self._sessions(key), self._dao.analytics.events(key), rules or self.rules)

    def _sessions(self, key: RangeKey) -> Iterator[StoredSession]:
        after = key.first - 1
        while after < key.last:
            page = self._dao.sessions.page(key.batch, after, key.last - after, include_irrelevant=True)
            yield from page.sessions
            if page.complete or not page.sessions:
                return
            after = page.sessions[-1].number

    def make_day(self, day: int) -> bool:
        """Makes the row of a UTC day again if it is not up to date; returns whether it was made."""
        analytics = self._dao.analytics
        before = next(iter(analytics.day_heads((day, day))), None)
        heads = self.range_heads((day, day))
        robots = self.robots((day, day)).of(day)
        digest = self.day_digest(heads, robots)
        if not heads or (before is not None and before.digest == digest):
            return False
        searches = day_searches(day, self.range_searches(heads), robots)
        meta = self.rules.segments.meta
        frames = {columns.SEARCHES: searches} | day_values(searches, self.range_parts(heads), meta)
        # A range that was replaced meanwhile has another version, so this row is not used then.
        head = DayHead(day, before.version + 1 if before else 1, digest)
        return analytics.replace_day(head, {name: pack(frame) for name, frame in frames.items()})

    def range_heads(self, days: tuple[int, int]) -> list[RangeHead]:
        """The heads of the ranges with a session on these UTC days that were made by these rules, by key."""
        return [head for head in self._dao.analytics.range_heads(days) if head.rules == self.digest]

    def batch_heads(self, batch: int) -> list[RangeHead]:
        """The heads of the ranges of a batch that were made by these rules, by key."""
        return [head for head in self._dao.analytics.batch_heads(batch) if head.rules == self.digest]

    def exact_until(self) -> datetime | None:
        """Until when the rows by these rules have seen every write; None until all of them are made."""
        state = self._dao.analytics.state()
        return state.exact_until if state.rules == self.digest else None

    def robots(self, days: tuple[int, int]) -> Robots:
        """The robots of these UTC days, both included, by the verdicts in force now."""
        number = self._dao.robots.newest()
        by_day: dict[int, set[int]] = {}
        for verdict in self._dao.robots.of_days(days, number):
            if verdict.robot:
                by_day.setdefault(verdict.day, set()).add(user_key(verdict.user_id))
        return Robots(number, by_day)

    def day_digest(self, heads: Iterable[RangeHead], robots: Set[int]) -> str:
        """Names what the row of a day is made from: its ranges' rows, its robots, and the rules."""
        content = [f"{head.key.batch}/{head.key.first}/{head.version}/{head.stamp}" for head in heads]
        content += map(str, sorted(robots))
        return hashlib.sha256("\n".join([self.digest, *content]).encode()).hexdigest()[:32]

    def range_searches(self, heads: Sequence[RangeHead], wanted: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The frame `searches` of every range, with the wanted columns."""
        for _, data in self._dao.analytics.range_frames(heads, columns.SEARCHES):
            yield unpack(data, wanted)

    def range_parts(self, heads: Sequence[RangeHead]) -> Iterator[RangeParts]:
        """The frames of every range; of `searches` the places alone. One range is in memory at a time."""
        for head in heads:
            both = [
                dict(self._dao.analytics.range_frames([head], name)) for name in (columns.SEARCHES, columns.SHOWINGS)
            ]
            if all(head.key in each for each in both):
                searches, showings = (each[head.key] for each in both)
                yield RangeParts(unpack(searches, ("batch", "number")), unpack(showings))
