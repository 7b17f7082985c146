"""Roll-ups in tests: made at once, without a worker."""

from clickstream.analytics.frame_rules import FrameRules
from clickstream.analytics.rollups import RollUps
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.analytics import Segments
from support.click_logs import POLICY

SEGMENTS = Segments(("locale", "where.page"), ("brand",))


def roll_ups_of(dao: ClickstreamDao, segments: Segments = SEGMENTS) -> RollUps:
    """What makes and reads the roll-ups of a store."""
    return RollUps(dao, FrameRules(POLICY, segments))


def make_all(roll_ups: RollUps, dao: ClickstreamDao, *, days: bool = True) -> None:
    """Makes the rows of all ranges and, if asked to, of all days."""
    made = set().union(*(roll_ups.make_range(key) for key in dao.analytics.all_ranges()))
    for day in made if days else ():
        roll_ups.make_day(day)
