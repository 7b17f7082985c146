"""The upkeep of roll-ups (R26): over the store in memory."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from support.builders import NOW, SECOND, push, session_draft, session_drafts
from support.click_logs import POLICY, mark, write_log
from support.memory_store import MemoryDao
from support.plain_figures import PlainSearch
from support.rollup_making import SEGMENTS, roll_ups_of
from support.servers import ROBOT_POLICY, wait_for

from clickstream.analytics.frame_bytes import unpack
from clickstream.analytics.frame_rules import FrameRules
from clickstream.analytics.rollups import RollUps
from clickstream.domain.analytics import RangeKey, Segments, day_of
from clickstream.domain.robots import RobotVerdict
from clickstream.quality.robot_judging import RobotJudging
from clickstream.workers import rollup_upkeep
from clickstream.workers.rollup_upkeep import RollUpUpkeep


@pytest.fixture
def dao() -> MemoryDao:
    """An empty store."""
    return MemoryDao()


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores at once how far the worker is, so that no test waits for it."""
    monkeypatch.setattr(rollup_upkeep, "IDLE_SECONDS", 0.0)


@contextmanager
def kept(dao: MemoryDao, roll_ups: RollUps | None = None, owner: str = "one", **options: object) -> Iterator[None]:
    """Keeps the roll-ups of a store in a thread."""
    stopped = threading.Event()
    clock = lambda: datetime.now(UTC)  # noqa: E731
    roll_ups = roll_ups or roll_ups_of(dao)
    judging = RobotJudging(dao, roll_ups, ROBOT_POLICY, clock)
    upkeep = RollUpUpkeep(dao, roll_ups, judging, owner, clock, stopped, **options)  # type: ignore[arg-type]
    thread = threading.Thread(target=upkeep.run)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(10)
        assert not thread.is_alive()


def wait_until_exact(dao: MemoryDao) -> None:
    """Waits until everything that was written before this call is in the rows."""
    written = datetime.now(UTC)
    wait_for(lambda: (dao.analytics.state().exact_until or NOW) > written)


def rows_are_right(dao: MemoryDao, searches: list[PlainSearch]) -> bool:
    """Whether the rows have exactly these searches with their marks and numbers of events."""
    found = {}
    heads = dao.analytics.range_heads()
    for _, data in dao.analytics.range_frames(heads, "searches"):
        for row in unpack(data).iter_rows(named=True):
            counted = sum(value for name, value in row.items() if name.startswith(("events.", "unshown.")))
            found[row["batch"], row["number"]] = row["irrelevant"], counted > 0
    return found == {(each.batch, each.number): (each.irrelevant, bool(each.events)) for each in searches}


def test_r26_rows_follow_sessions_events_and_marks(dao: MemoryDao) -> None:
    """R26: after every write the rows become right again, also those of ranges that were released."""
    with kept(dao):
        wait_until_exact(dao)
        searches = write_log(dao, 1)
        wait_until_exact(dao)
        assert rows_are_right(dao, searches)
        for irrelevant in (True, False):
            mark(dao, searches[0], irrelevant=irrelevant)
            wait_until_exact(dao)
            assert rows_are_right(dao, searches)


def test_r26_the_next_worker_goes_on_where_the_last_one_was(dao: MemoryDao) -> None:
    """R26: what was written while no worker ran is made by the next, and nothing else."""
    searches = write_log(dao, 2)
    with kept(dao):
        wait_until_exact(dao)
    versions = {head.key: head.version for head in dao.analytics.range_heads()}
    mark(dao, searches[0], irrelevant=not searches[0].irrelevant)
    with kept(dao, owner="two"):
        wait_until_exact(dao)
    assert rows_are_right(dao, searches)
    changed = RangeKey.of(searches[0].batch, searches[0].number)
    remade = {head.key for head in dao.analytics.range_heads() if head.version != versions[head.key]}
    assert remade == {changed}


def test_r26_other_rules_make_every_row_anew(dao: MemoryDao) -> None:
    """R26: a new policy or other declared paths make all rows again, and only those rows are read then."""
    searches = write_log(dao, 3)
    with kept(dao):
        wait_until_exact(dao)
    others = RollUps(dao, FrameRules(POLICY, Segments(("locale",))))
    assert others.digest != roll_ups_of(dao).digest
    with kept(dao, others, owner="two"):
        wait_until_exact(dao)
    assert {head.rules for head in dao.analytics.range_heads()} == {others.digest}
    assert rows_are_right(dao, searches)


def test_r27_verdicts_are_given_and_make_the_rows_of_their_days_again(
    dao: MemoryDao, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R27: the worker judges days that ended; a person's verdict, and undoing all, change the rows of their days."""
    monkeypatch.setattr(rollup_upkeep, "DAY_SECONDS", 0.0)
    roll_ups = roll_ups_of(dao)
    at = datetime(2026, 10, 23, 12, tzinfo=UTC)
    day = day_of(at)
    dao.sessions.append([session_draft("s-1", at, user_id="crawler", user_agent="Googlebot/2.1")])
    dao.sessions.append([session_draft("s-2", at, user_id="ann")])

    def robots_in_row() -> list[bool] | None:
        [head] = dao.analytics.day_heads((day, day)) or [None]
        data = dao.analytics.day_frame(head, "searches") if head else None
        return sorted(unpack(data)["robot"].to_list()) if data else None

    with kept(dao, roll_ups):
        wait_for(lambda: robots_in_row() == [False, True])
        assert [(each.user_id, each.by) for each in dao.robots.of_days((day, day), 1)] == [("crawler", "policy")]
        dao.robots.order(RobotVerdict("ann", day, True, "bob", NOW, request_id="r-1"))
        wait_for(lambda: robots_in_row() == [True, True])
        dao.robots.order(
            RobotVerdict(
                "", 0, False, "bob", datetime.now(UTC), ROBOT_POLICY.version, undoes_all=True, request_id="r-2"
            )
        )
        wait_for(lambda: robots_in_row() == [False, False])
        wait_until_exact(dao)
    assert dao.robots.newest() == 3, "the same version of the policy judged again"


def test_days_that_have_ended_have_a_row_that_is_up_to_date(dao: MemoryDao, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row of a day names the present rows of its ranges, also after one of them was made again."""
    monkeypatch.setattr(rollup_upkeep, "DAY_SECONDS", 0.0)
    roll_ups = roll_ups_of(dao)

    def all_up_to_date() -> bool:
        days = {day for head in dao.analytics.range_heads() for day in head.days}
        heads = {head.day: head.digest for head in dao.analytics.day_heads()}
        now = {day: roll_ups.day_digest(dao.analytics.range_heads((day, day)), set()) for day in days}
        return bool(days) and heads == now

    searches = write_log(dao, 4)
    with kept(dao, roll_ups):
        wait_for(all_up_to_date)
        mark(dao, searches[0], irrelevant=not searches[0].irrelevant)
        wait_until_exact(dao)
        wait_for(all_up_to_date)


def test_r26_a_row_that_cannot_be_made_holds_back_what_is_said(
    dao: MemoryDao, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """R26: the other rows are made, nothing is said to be exact, the log has the key alone, and it is tried again."""
    monkeypatch.setattr(rollup_upkeep, "FAILED_SECONDS", 0.2)
    searches = write_log(dao, 5)
    roll_ups = roll_ups_of(dao, SEGMENTS)
    broken = threading.Event()
    make = roll_ups.make_range

    def make_range(key: RangeKey) -> frozenset[int]:
        if key.batch == 1 and not broken.is_set():
            raise ZeroDivisionError
        return make(key)

    monkeypatch.setattr(roll_ups, "make_range", make_range)
    with caplog.at_level(logging.ERROR), kept(dao, roll_ups):
        wait_for(lambda: [head.key.batch for head in dao.analytics.range_heads()] == [2])
        wait_for(lambda: "batch 1 from session 1 cannot be made" in caplog.text)
        assert dao.analytics.state().exact_until is None
        broken.set()
        wait_until_exact(dao)
    assert rows_are_right(dao, searches)


def test_one_worker_works_at_a_time(dao: MemoryDao) -> None:
    """The second worker takes over when the first has stopped, at once."""
    write_log(dao, 6)
    with kept(dao, owner="one"):
        wait_until_exact(dao)
        with kept(dao, owner="two"):
            wait_until_exact(dao)
            assert dao.analytics.take_lease("one", datetime.now(UTC), datetime.now(UTC) + 20 * SECOND)
    began = time.monotonic()
    with kept(dao, owner="three"):
        wait_until_exact(dao)
    assert time.monotonic() - began < rollup_upkeep.LEASE.total_seconds() / 2


def test_a_worker_without_anything_to_make_keeps_its_lease(dao: MemoryDao, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing is written for longer than a lease, no other worker and no serving process takes over."""
    monkeypatch.setattr(rollup_upkeep, "LEASE", timedelta(seconds=0.6))
    monkeypatch.setattr(rollup_upkeep, "RENEW_SECONDS", 0.1)
    with kept(dao, owner="one"):
        wait_until_exact(dao)
        idle_until = datetime.now(UTC) + timedelta(seconds=1.5)
        wait_for(lambda: datetime.now(UTC) > idle_until)
        now = datetime.now(UTC)
        assert not dao.analytics.take_lease("two", now, now + 20 * SECOND)


def test_a_serving_process_waits_for_workers(dao: MemoryDao) -> None:
    """It takes the lease only if nobody had it for a while."""
    dao.sessions.append(session_drafts(1))
    with kept(dao, owner="serving", free_for=timedelta(seconds=1.5)):
        dao.events.append([push("s-1", "e-1")])
        assert dao.analytics.state().exact_until is None
        wait_until_exact(dao)


def test_an_outage_of_the_store_delays_and_loses_nothing(dao: MemoryDao, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker goes on when the store answers again."""
    monkeypatch.setattr(rollup_upkeep, "PAUSE_SECONDS", 0.05)
    searches = write_log(dao, 7)
    with kept(dao):
        wait_until_exact(dao)
        dao.down = True
        wait_for(lambda: dao.outage_count > 3)
        dao.down = False
        mark(dao, searches[1], irrelevant=not searches[1].irrelevant)
        wait_until_exact(dao)
    assert rows_are_right(dao, searches)


def test_r26_a_row_is_never_made_older(dao: MemoryDao, monkeypatch: pytest.MonkeyPatch) -> None:
    """R26: a maker that read the documents before another one wrote the row makes it again, and overwrites nothing."""
    searches = write_log(dao, 8)
    slow, fast = roll_ups_of(dao), roll_ups_of(dao)
    frames_now: Callable[..., object] = slow.frames_now
    raced: list[RangeKey] = []

    def read_then_lose(key: RangeKey) -> object:
        made = frames_now(key)
        if not raced:
            raced.append(key)
            mark(dao, searches[0], irrelevant=not searches[0].irrelevant)
            fast.make_range(key)
        return made

    monkeypatch.setattr(slow, "frames_now", read_then_lose)
    for key in dao.analytics.all_ranges():
        slow.make_range(key)
    assert raced
    assert rows_are_right(dao, searches)
