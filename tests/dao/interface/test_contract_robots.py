"""What every store promises about robot verdicts (R27)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.builders import NOW

from clickstream.dao.interface.robots import VerdictFilter
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.errors import AlreadyExists
from clickstream.domain.robots import RobotFinding, RobotVerdict

FINDING = RobotFinding("searches", 1_200.0, 50.0, 1_000.0, True)


def judged(user_id: str, day: int, *, robot: bool = True) -> RobotVerdict:
    """A verdict of the policy."""
    return RobotVerdict(user_id, day, robot, "policy", NOW, "robots-1", findings=(FINDING,))


def ordered(request_id: str, user_id: str, day: int, *, robot: bool) -> RobotVerdict:
    """A person's verdict."""
    return RobotVerdict(user_id, day, robot, "ann", NOW, reason="seen", request_id=request_id)


def undoing(request_id: str) -> RobotVerdict:
    """An entry that makes all before it void."""
    return RobotVerdict("", 0, False, "ann", NOW, "robots-1", undoes_all=True, request_id=request_id)


def in_force(dao: ClickstreamDao, number: int) -> set[tuple[str, int, bool]]:
    """The verdicts in force about two days, as of a number."""
    of_days = dao.robots.of_days((1, 2), number)
    assert {each.number for each in of_days} == {each.number for each in dao.robots.of_users({"a", "b", "c"}, number)}
    return {(each.user_id, each.day, each.robot) for each in of_days}


def test_r27_of_several_verdicts_the_last_is_in_force(dao: ClickstreamDao) -> None:
    """R27: each number of the list has its own verdicts in force, for ever."""
    assert dao.robots.newest() == 0
    assert in_force(dao, 0) == set()
    assert dao.robots.append([judged("a", 1), judged("b", 1), judged("a", 2)], 0)
    entry, created = dao.robots.order(ordered("r-1", "b", 1, robot=False))
    assert (entry.number, created) == (4, True)
    assert dao.robots.order(undoing("r-2"))[0].number == 5
    assert dao.robots.append([judged("c", 2)], 5)
    expected = {
        0: set(),
        1: {("a", 1, True)},
        3: {("a", 1, True), ("b", 1, True), ("a", 2, True)},
        4: {("a", 1, True), ("b", 1, False), ("a", 2, True)},
        5: set(),
        6: {("c", 2, True)},
    }
    assert {number: in_force(dao, number) for number in expected} == expected
    assert dao.robots.newest() == 6
    undo = dao.robots.last_undo(6)
    assert undo is not None
    assert (undo.number, undo.undoes_all, undo.policy_version) == (5, True, "robots-1")
    assert dao.robots.last_undo(4) is None


def test_r27_nothing_is_lost_from_the_list(dao: ClickstreamDao) -> None:
    """R27: the list is read page by page, by user and by day, as it was written."""
    verdicts = [judged("a", 1), judged("b", 1), judged("a", 2)]
    dao.robots.append(verdicts, 0)
    entry, _ = dao.robots.order(ordered("r-1", "b", 2, robot=False))
    assert [replace(each, number=0) for each in dao.robots.list(VerdictFilter(), None, 10)][1:] == verdicts[::-1]
    assert dao.robots.list(VerdictFilter(), None, 1) == [entry]
    numbers = lambda wanted, before=None: [each.number for each in dao.robots.list(wanted, before, 10)]  # noqa: E731
    assert numbers(VerdictFilter(), 3) == [2, 1]
    assert numbers(VerdictFilter("a")) == [3, 1]
    assert numbers(VerdictFilter(day=1)) == [2, 1]
    assert numbers(VerdictFilter("b", 2)) == [4]


def test_r27_the_policy_never_overtakes_another_entry(dao: ClickstreamDao) -> None:
    """R27: verdicts that were made from an older list are not added behind a newer entry."""
    dao.robots.order(ordered("r-1", "a", 1, robot=False))
    assert not dao.robots.append([judged("a", 1)], 0)
    assert in_force(dao, dao.robots.newest()) == {("a", 1, False)}
    assert dao.robots.append([], 0)


def test_r27_an_order_is_carried_out_once(dao: ClickstreamDao) -> None:
    """R27: a request id makes one entry, however often and by however many it is sent; other content is refused."""
    order = ordered("r-1", "a", 1, robot=True)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(dao.robots.order, [order] * 20))
    assert [created for _, created in answers].count(True) == 1
    assert {entry.number for entry, _ in answers} == {1}
    for other in (replace(order, robot=False), replace(order, by="bob"), replace(undoing("r-1"), by="ann")):
        with pytest.raises(AlreadyExists, match="request_id"):
            dao.robots.order(other)
    assert dao.robots.newest() == 1


def test_numbers_have_no_gap_whoever_writes(dao: ClickstreamDao) -> None:
    """Entries of several writers are numbered one after another."""
    orders = [ordered(f"r-{number}", "a", number, robot=True) for number in range(30)]
    with ThreadPoolExecutor(6) as pool:
        numbers = [entry.number for entry, _ in pool.map(dao.robots.order, orders)]
    assert sorted(numbers) == list(range(1, 31))


def test_a_day_remembers_by_what_it_was_judged(dao: ClickstreamDao) -> None:
    """A day's stamp is kept; another day has its own."""
    assert dao.robots.judged(3) == ""
    dao.robots.set_judged(3, "one")
    dao.robots.set_judged(3, "two")
    assert (dao.robots.judged(3), dao.robots.judged(4)) == ("two", "")
