"""What every store promises about roll-ups."""

from dataclasses import replace

import pytest
from support.builders import NOW, SECOND, push, session_drafts

from clickstream.dao.interface.analytics import Changes, DayHead, RangeHead, RollUpState
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.dao.mongo import analytics as mongo_analytics
from clickstream.domain.analytics import RangeKey

KEY = RangeKey(1, 1)


def head(version: int, *days: int, key: RangeKey = KEY) -> RangeHead:
    """The head of a range's row."""
    return RangeHead(key, version, days, "rules", {"events": 3})


def frame(dao: ClickstreamDao, key: RangeKey = KEY, name: str = "searches") -> bytes:
    """A frame of a range, as it is now."""
    found = dao.analytics.range_head(key)
    assert found is not None
    return dict(dao.analytics.range_frames([found], name))[key]


def test_r26_a_row_is_replaced_as_a_whole_or_not_at_all(dao: ClickstreamDao) -> None:
    """R26: only the maker who knows the present version replaces a row, and then every frame of it."""
    assert dao.analytics.range_head(KEY) is None
    assert dao.analytics.replace_range(head(1, 7), {"searches": b"one", "showings": b"uno"})
    assert not dao.analytics.replace_range(head(1, 8), {"searches": b"late", "showings": b"late"})
    assert dao.analytics.replace_range(head(2, 7, 9), {"searches": b"two", "showings": b"dos"})
    assert not dao.analytics.replace_range(head(2, 8), {"searches": b"late", "showings": b"late"})
    assert (frame(dao), frame(dao, name="showings")) == (b"two", b"dos")
    found = dao.analytics.range_head(KEY)
    assert found is not None
    assert replace(found, stamp="") == head(2, 7, 9)


def test_rows_are_found_by_the_days_of_their_sessions(dao: ClickstreamDao) -> None:
    """A range belongs to every day on which one of its sessions was; heads are in the order of their keys."""
    for batch, days in ((2, (5, 9)), (1, (6,)), (3, (10,))):
        assert dao.analytics.replace_range(head(1, *days, key=RangeKey(batch, 1)), {"searches": b""})
    assert [each.key.batch for each in dao.analytics.range_heads((6, 9))] == [1, 2]
    assert [each.key.batch for each in dao.analytics.range_heads((7, 8))] == []
    assert [each.key.batch for each in dao.analytics.range_heads()] == [1, 2, 3]


def test_a_frame_of_any_size_is_read_back(dao: ClickstreamDao, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that does not fit one document is stored in parts, and its rewriting leaves no part behind."""
    monkeypatch.setattr(mongo_analytics, "PART_BYTES", 10)
    large = bytes(range(95))
    assert dao.analytics.replace_range(head(1, 1), {"searches": large, "showings": b"x"})
    assert dao.analytics.replace_day(DayHead(1, 1, "digest"), {"searches": large})
    assert frame(dao) == large
    [day] = dao.analytics.day_heads()
    assert dao.analytics.day_frame(day, "searches") == large
    assert dao.analytics.replace_range(head(2, 1), {"searches": b"", "showings": b"y"})
    assert (frame(dao), frame(dao, name="showings")) == (b"", b"y")


def test_a_row_that_is_replaced_while_it_is_read_is_read_as_it_is_now(dao: ClickstreamDao) -> None:
    """Who has an old head gets the new frames of a range, and none of a day."""
    assert dao.analytics.replace_range(head(1, 1), {"searches": b"one"})
    assert dao.analytics.replace_day(DayHead(1, 1, "digest"), {"searches": b"one"})
    old, [old_day] = dao.analytics.range_heads(), dao.analytics.day_heads()
    assert dao.analytics.replace_range(head(2, 1), {"searches": b"two"})
    assert dao.analytics.replace_day(DayHead(1, 2, "other"), {"searches": b"two"})
    assert dict(dao.analytics.range_frames(old, "searches")) == {KEY: b"two"}
    assert dao.analytics.day_frame(old_day, "searches") is None


def test_one_owner_has_the_lease_and_stores_how_far_it_is(dao: ClickstreamDao) -> None:
    """A second worker waits until the lease ends, and the first can then store nothing any more."""
    assert dao.analytics.free_since() is None
    assert dao.analytics.take_lease("one", NOW, NOW + 20 * SECOND)
    assert not dao.analytics.take_lease("two", NOW + 5 * SECOND, NOW + 25 * SECOND)
    state = RollUpState({"token": 1}, NOW, "rules")
    assert dao.analytics.set_state(state, "one")
    assert dao.analytics.take_lease("two", NOW + 20 * SECOND, NOW + 40 * SECOND)
    assert not dao.analytics.set_state(RollUpState(), "one")
    assert dao.analytics.state() == state
    dao.analytics.release_lease("one", NOW)
    assert dao.analytics.free_since() == NOW + 40 * SECOND
    dao.analytics.release_lease("two", NOW + 21 * SECOND)
    assert dao.analytics.take_lease("one", NOW + 21 * SECOND, NOW + 41 * SECOND)


def test_every_range_with_a_session_is_listed(dao: ClickstreamDao) -> None:
    """Ranges are those of the sessions: a seal makes none, and a range begins every 1,000 numbers."""
    dao.sessions.append(session_drafts(1_000, "a"))
    assert dao.analytics.all_ranges() == [KEY]
    dao.batches.release("r-1", None, NOW)
    assert dao.analytics.all_ranges() == [KEY]
    dao.sessions.append(session_drafts(1_001, "b"))
    assert dao.analytics.all_ranges() == [KEY, RangeKey(2, 1), RangeKey(2, 1_001)]


def test_all_events_of_a_range_are_read(dao: ClickstreamDao) -> None:
    """Events come by session number and id, with their times in milliseconds."""
    dao.sessions.append(session_drafts(1_001))
    dao.events.append([push("s-2", "e-2", "e-1"), push("s-1", "e-1"), push("s-1001", "e-9")])
    events = list(dao.analytics.events(KEY))
    assert [each.number for each in events] == [1, 2, 2]
    assert {each.type for each in events} == {"click"}
    assert {each.at_ms for each in events} == {int(NOW.timestamp() * 1_000)}
    assert [each.number for each in dao.analytics.events(RangeKey(1, 1_001))] == [1_001]


def following(dao: ClickstreamDao, token: object, write: object) -> list[Changes]:
    """The reports that come from writing something until it was reported."""
    found: list[Changes] = []

    def on_changes(changes: Changes) -> bool:
        if not found:
            write()  # type: ignore[operator]
        found.append(changes)
        return len(found) < 2 or not changes.ranges

    assert dao.analytics.follow_writes(token, on_changes, lambda: len(found) > 50)
    return found


@pytest.fixture
def following_dao(dao: ClickstreamDao, request: pytest.FixtureRequest) -> ClickstreamDao:
    """A store that reports changes."""
    if "mongomock" in request.node.name:
        pytest.skip("mongomock has no change streams")
    return dao


def test_r26_every_kind_of_write_names_its_range(following_dao: ClickstreamDao) -> None:
    """R26: a session, an event, a mark and a restore name the range whose row is no longer right."""
    dao = following_dao
    dao.sessions.append(session_drafts(1_001))
    writes = (
        lambda: dao.sessions.append(session_drafts(1, "new")),
        lambda: dao.events.append([push("s-3", "e-1")]),
        lambda: dao.sessions.mark_irrelevant("s-5", NOW),
        lambda: dao.sessions.restore("s-5"),
    )
    expected = (RangeKey(1, 1_001), KEY, KEY, KEY)
    token = None
    for write, key in zip(writes, expected, strict=True):
        reports = following(dao, token, write)
        assert frozenset().union(*(report.ranges for report in reports[1:])) == {key}
        token = reports[-1].resume_token
        times = [report.exact_until for report in reports]
        assert times == sorted(times)


def test_r26_what_was_written_meanwhile_is_reported_to_the_next_worker(following_dao: ClickstreamDao) -> None:
    """R26: a worker that goes on at the place of another misses nothing in between."""
    dao = following_dao
    dao.sessions.append(session_drafts(2))
    token = following(dao, None, lambda: dao.events.append([push("s-1", "e-1")]))[-1].resume_token
    dao.events.append([push("s-2", "e-1")])
    reports: list[Changes] = []
    dao.analytics.follow_writes(
        token, lambda changes: not reports.append(changes) and not changes.ranges, lambda: len(reports) > 50
    )
    assert frozenset().union(*(report.ranges for report in reports)) == {KEY}
