"""Makes the frames of a range of sessions from the stored sessions and all their events."""

import itertools
from collections.abc import Iterable, Iterator

from clickstream.analytics.frame_rules import FrameRules
from clickstream.analytics.range_making import RangeFrames, RangeMaking
from clickstream.dao.interface.analytics import RawEvent
from clickstream.domain.sessions import StoredSession


def make_range(sessions: Iterable[StoredSession], events: Iterable[RawEvent], rules: FrameRules) -> RangeFrames:
    """Makes the frames of a range.

    Args:
        sessions: By number.
        events: Every event of these sessions, by session number.
        rules: What counts as what.
    """
    making = RangeMaking(rules)
    for session, of_session in _joined(sessions, events):
        making.add(session, of_session)
    return making.frames()


def _joined(
    sessions: Iterable[StoredSession], events: Iterable[RawEvent]
) -> Iterator[tuple[StoredSession, Iterable[RawEvent]]]:
    groups = itertools.groupby(events, key=lambda event: event.number)
    number, group = next(groups, (0, iter(())))
    for session in sessions:
        while number and number < session.number:
            number, group = next(groups, (0, iter(())))
        yield session, group if number == session.number else ()
