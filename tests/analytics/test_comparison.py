"""The comparison of two sides."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from embedding_studio.clickstream.v1 import session_pb2
from support.click_logs import JUDGED, START, write_log
from support.memory_store import MemoryDao
from support.rollup_making import make_all, roll_ups_of

from clickstream.analytics.comparison import compare
from clickstream.analytics.figures import FiguresEngine
from clickstream.domain.figures import Comparison, Question
from clickstream.domain.intervals import newcombe
from clickstream.domain.windows import Bucket, Window
from clickstream.servicers.checks import admission

WINDOW = Window(START - timedelta(hours=22), START + timedelta(hours=98), ZoneInfo("UTC"))


def compared(dao: MemoryDao, first: Question, second: Question) -> Comparison:
    """Two sides of the whole window."""
    roll_ups = roll_ups_of(dao)
    make_all(roll_ups, dao)
    return compare(FiguresEngine(dao, roll_ups), (WINDOW, first), (WINDOW, second), None)


def test_r25_differences_are_those_of_the_sides_figures() -> None:
    """R25: each side has the figures of its filter, and every rate that both have is compared with its interval."""
    dao = MemoryDao()
    write_log(dao, 31, JUDGED)
    web, app = Question({"client": ("web",)}), Question({"client": ("app",)})
    found = compared(dao, web, app)
    engine = FiguresEngine(dao, roll_ups_of(dao))
    sides = [engine.figures(WINDOW, Bucket.WHOLE, "", each, 20).total for each in (web, app)]
    assert [found.first, found.second] == sides
    rates = [each.rates() for each in sides]
    assert {each.name for each in found.differences} == rates[0].keys() & rates[1].keys()
    for each in found.differences:
        (first, second) = rates[0][each.name], rates[1][each.name]
        assert each.difference == pytest.approx(second[0] / second[1] - first[0] / first[1])
        bounded = first[0] <= first[1] and second[0] <= second[1]
        assert each.interval == (newcombe(first, second) if bounded else None)
    assert any("the first side has" in warning for warning in found.warnings)
    assert any("one user makes" in warning for warning in found.warnings)


def test_outliers_are_left_out_and_counted() -> None:
    """A user with far more searches than all others is in no figure of a comparison, and the number is said."""
    dao = MemoryDao()
    users = [f"u-{number}" for number in range(200)] + ["busy"] * 300
    for number, user in enumerate(users):
        session = session_pb2.Session(session_id=f"s-{number}", query="red", user_id=user)
        session.created_at.FromDatetime(START + timedelta(minutes=number % 60))
        dao.sessions.append([admission.session(session, admission.arrival(START, None))])
    found = compared(dao, Question(), Question())
    assert (found.first.searches, found.outlier_searches) == (200, (300, 300))
    assert any("in common" in warning for warning in found.warnings)
