"""Days are judged, and verdicts are added only where they say something new (R27)."""

from datetime import UTC, datetime, timedelta

import pytest
from support.builders import event, session_draft
from support.memory_store import MemoryDao
from support.rollup_making import make_all, roll_ups_of
from support.servers import ROBOT_POLICY

from clickstream.analytics.rollups import RollUps
from clickstream.dao.interface.robots import VerdictFilter
from clickstream.domain.analytics import day_of
from clickstream.domain.robots import RobotClass, RobotVerdict
from clickstream.domain.sessions import EventPush
from clickstream.quality.robot_judging import RobotJudging
from clickstream.quality.robot_policy import RobotPolicy, parse_robot_policy
from clickstream.servicers.checks import admission

START = datetime(2026, 10, 23, 8, tzinfo=UTC)
DAY = day_of(START)
NOW = START + timedelta(days=3)


@pytest.fixture
def dao() -> MemoryDao:
    """A store with a hammer that searches every minute, a declared robot, a person, and one without a user id."""
    dao = MemoryDao()
    write(dao, "hammer", [timedelta(minutes=minute) for minute in range(40)])
    write(dao, "crawler", [timedelta(hours=1)], user_agent="Mozilla/5.0 (compatible; Googlebot/2.1)")
    write(dao, "person", [timedelta(minutes=minute * minute) for minute in range(9)], user_agent="Mozilla/5.0 Firefox")
    write(dao, "", [timedelta(minutes=minute) for minute in range(40)], user_agent="Googlebot/2.1")
    return dao


def write(dao: MemoryDao, user_id: str, delays: list[timedelta], **fields: object) -> None:
    """Registers a search of a user at each of these delays."""
    for index, delay in enumerate(delays):
        draft = session_draft(f"{user_id}-{START + delay}-{index}", START + delay, user_id=user_id, **fields)
        dao.sessions.append([draft])


def judging_of(dao: MemoryDao, policy: RobotPolicy = ROBOT_POLICY) -> tuple[RobotJudging, RollUps]:
    """What judges the days of a store whose roll-ups are made."""
    roll_ups = roll_ups_of(dao)
    make_all(roll_ups, dao, days=False)
    return RobotJudging(dao, roll_ups, policy, lambda: NOW), roll_ups


def listed(dao: MemoryDao) -> list[tuple[str, bool, str]]:
    """The list of verdicts: user, robot and judge."""
    return [(each.user_id, each.robot, each.by) for each in reversed(dao.robots.list(VerdictFilter(), None, 100))]


def test_r27_robots_are_named_with_the_reasons(dao: MemoryDao) -> None:
    """R27: a verdict carries its policy's version and what each rule found; people and unknown users have none."""
    judging, _ = judging_of(dao)
    assert judging.judge_day(DAY) == 2
    verdicts = {each.user_id: each for each in dao.robots.of_days((DAY, DAY), 2)}
    assert {name: [finding.rule for finding in each.findings] for name, each in verdicts.items()} == {
        "hammer": ["equal_intervals"],
        "crawler": ["declared_agent"],
    }
    assert {(each.policy_version, each.by, each.judged_at) for each in verdicts.values()} == {
        (ROBOT_POLICY.version, "policy", NOW)
    }


def test_r27_a_day_is_judged_again_only_if_something_changed(dao: MemoryDao) -> None:
    """R27: the same data and policy add nothing; late data add a verdict only about whom they change."""
    judging, _ = judging_of(dao)
    judging.judge_day(DAY)
    assert judging.judge_day(DAY) == 0
    write(dao, "late", [timedelta(minutes=minute) for minute in range(30)])
    judging, _ = judging_of(dao)
    assert judging.judge_day(DAY) == 1
    # A search between two others: the hammer's intervals are no longer equal.
    write(dao, "hammer", [timedelta(minutes=20, seconds=30)])
    judging, _ = judging_of(dao)
    assert judging.judge_day(DAY) == 1
    assert listed(dao)[2:] == [("late", True, "policy"), ("hammer", False, "policy")]


def test_r27_a_persons_verdict_stays(dao: MemoryDao) -> None:
    """R27: neither new data nor another policy changes a verdict of a person."""
    judging, _ = judging_of(dao)
    judging.judge_day(DAY)
    for user_id, robot in (("hammer", False), ("person", True)):
        dao.robots.order(RobotVerdict(user_id, DAY, robot, "ann", NOW, request_id=user_id))
    write(dao, "person", [timedelta(hours=7)])
    everybody = parse_robot_policy('version = "all"\n[rules.searches]\nrobot_from = 1\nstrong = true')
    judging, _ = judging_of(dao, everybody)
    assert judging.judge_day(DAY) == 0
    force = {each.user_id: each.robot for each in dao.robots.of_days((DAY, DAY), dao.robots.newest())}
    assert force == {"hammer": False, "person": True, "crawler": True}


def test_r27_after_undoing_only_another_policy_judges_again(dao: MemoryDao) -> None:
    """R27: undoing all is one entry; the same version of the policy leaves the days before it alone."""
    judging, _ = judging_of(dao)
    judging.judge_day(DAY)
    dao.robots.order(RobotVerdict("", 0, False, "ann", NOW, ROBOT_POLICY.version, undoes_all=True, request_id="undo"))
    write(dao, "late", [timedelta(minutes=minute) for minute in range(30)])
    judging, _ = judging_of(dao)
    assert judging.judge_day(DAY) == 0
    assert dao.robots.of_days((DAY, DAY), dao.robots.newest()) == []
    strict = parse_robot_policy('version = "strict"\n[rules.declared_agent]\nrobot_from = 1\nstrong = true')
    judging, _ = judging_of(dao, strict)
    assert judging.judge_day(DAY) == 1
    assert [each.user_id for each in dao.robots.of_days((DAY, DAY), dao.robots.newest())] == ["crawler"]


def test_r27_a_dry_run_says_who_and_why_and_stores_nothing(dao: MemoryDao) -> None:
    """R27: a preview by any policy has the users beyond a mark, most searches first, with examples."""
    judging, _ = judging_of(dao)
    policy = parse_robot_policy('version = "try"\n[rules.searches]\nhuman_below = 5\nrobot_from = 30\nstrong = true')
    found = judging.preview([DAY - 1, DAY], policy, include_unsure=True)
    assert [(each.user_id, each.robot_class, each.searches) for each in found.judgements] == [
        ("hammer", RobotClass.ROBOT, 40),
        ("person", RobotClass.UNSURE, 9),
    ]
    assert (found.user_days, found.robot_user_days, found.unsure_user_days) == (3, 1, 1)
    assert all(each.startswith("hammer-") for each in found.judgements[0].example_session_ids)
    assert len(found.judgements[0].example_session_ids) == 5
    assert judging.preview([DAY], policy, include_unsure=False).judgements == found.judgements[:1]
    assert dao.robots.newest() == 0


def test_a_user_who_clicks_everything_in_order_is_a_robot() -> None:
    """Clicks on all of 12 results from top to bottom, three times, are a robot's; in another order they are not."""
    dao = MemoryDao()
    objects = [f"o-{place:02}" for place in range(12)]
    for user_id, order in (("down", objects), ("up", objects[::-1])):
        for number in range(3):
            at = START + timedelta(hours=number * number)
            draft = session_draft(f"{user_id}-{number}", at, user_id=user_id, objects=objects)
            dao.sessions.append([draft])
            clicks = [event(f"e-{index}", name) for index, name in enumerate(order)]
            for index, each in enumerate(clicks):
                each.created_at.FromDatetime(at + timedelta(seconds=index + 1))
            drafts = [admission.event(each, "event", admission.arrival(START, None)) for each in clicks]
            dao.events.append([EventPush(f"{user_id}-{number}", drafts)])
    judging, _ = judging_of(dao)
    judging.judge_day(DAY)
    assert listed(dao) == [("down", True, "policy")]
