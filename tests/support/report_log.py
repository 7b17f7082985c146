"""A server with everything that a report shows: searches over days, robots, refusals, batches, runs and versions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from clickstream.analytics.frame_rules import FrameRules
from clickstream.analytics.rollups import RollUps
from clickstream.client.admin import AdminClient
from clickstream.client.analytics import AnalyticsClient
from clickstream.domain.analytics import Segments, day_of
from clickstream.domain.errors import Reason
from clickstream.domain.runs import RunState
from clickstream.quality.robot_judging import RobotJudging
from support.builders import create_request, event, model_version, push_request, release_request, training_run
from support.memory_store import MemoryDao
from support.rollup_making import make_all
from support.servers import POLICY, ROBOT_POLICY, Clock, InProcessServer

# A query that must be shown as it is, and run nothing.
EVIL = "<script>alert('x')</script> & <img src=https://example.com/x>"
LONG = "w" * 300


def clients(server: InProcessServer) -> tuple[AnalyticsClient, AdminClient]:
    """The clients that a report asks."""
    return AnalyticsClient(server.channel), AdminClient(server.channel)


@contextmanager
def report_server(days: int = 10, visits: int = 12) -> Iterator[InProcessServer]:
    """The server; its clock stands at the end of the last day."""
    dao, clock = MemoryDao(), Clock()
    with InProcessServer(dao, clock) as server:
        for day in range(days):
            for visit in range(visits):
                _search(server, f"{day}-{visit}", visit)
                clock.forward(60)
            clock.forward(timedelta(days=1).total_seconds() - 60 * visits)
            if day == days // 2:
                server.batch.ReleaseBatch(release_request())
        server.refusals.note(Reason.INVALID_FIELD, "web", 3)
        server.run(server.refusals.flush())
        for number in range(3):
            run_id = f"night-{number}"
            dao.runs.create(training_run(run_id, at=clock.now))
            dao.runs.claim("me", clock.now, clock.now + timedelta(minutes=1))
            version = replace(model_version(run_id), created_at=clock.now)
            dao.runs.finish(run_id, "me", RunState.SUCCEEDED, "well", version, clock.now)
            clock.forward(1)
        roll_ups = RollUps(dao, FrameRules(POLICY, Segments(("locale",), ("brand",)), "{title}"))
        make_all(roll_ups, dao)
        judging = RobotJudging(dao, roll_ups, ROBOT_POLICY, clock)
        for day in range(day_of(clock.now) - days, day_of(clock.now)):
            judging.judge_day(day)
            roll_ups.make_day(day)
        yield server


def _search(server: InProcessServer, name: str, visit: int) -> None:
    query = (EVIL, "red shoes", LONG, "blue hat")[visit % 4]
    robot = visit == 11
    request = create_request(
        f"s-{name}",
        query=query,
        user_id="crawler" if robot else f"user-{visit % 5}",
        user_agent="Googlebot/2.1" if robot else "Firefox",
        client={"name": "web" if visit % 2 else "app"},
        objects=() if visit == 7 else ("a", "b", "c", "d"),
    )
    server.clickstream.CreateSession(request)
    if visit % 3 == 0:
        kind = "purchase" if visit == 9 else "click"
        server.clickstream.PushEvents(push_request(f"s-{name}", event("e-1", "abcd"[visit % 4], kind)))
