"""What every store promises about sessions and their events."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.builders import NOW, SECOND, event_draft, push, session_draft, session_drafts

from clickstream.dao.interface.store import ClickstreamDao
from clickstream.dao.mongo import events as mongo_events
from clickstream.domain import limits
from clickstream.domain.errors import NotFound
from clickstream.domain.sessions import EventPush, SessionEvents, SessionPage


def numbers(dao: ClickstreamDao, batch: int = 1, *, after: int = 0, limit: int = 100, irrelevant: bool = True):
    """The session numbers of a page."""
    return [each.number for each in dao.sessions.page(batch, after, limit, include_irrelevant=irrelevant).sessions]


def event_ids(events: Mapping[int, SessionEvents]) -> dict[int, list[str]]:
    """The listed event ids, by session number."""
    return {number: [event.event_id for event in of_session.events] for number, of_session in events.items()}


def test_r8_sessions_are_numbered_densely_in_the_order_of_the_drafts(dao: ClickstreamDao) -> None:
    """R8: the sessions of one append, and of the next, take the numbers 1, 2, 3 … in their order."""
    first = dao.sessions.append(session_drafts(3, "one"))
    second = dao.sessions.append(session_drafts(2, "two"))
    assert [(each.session.session_id, each.session.number) for each in [*first, *second]] == [
        ("one-1", 1),
        ("one-2", 2),
        ("one-3", 3),
        ("two-1", 4),
        ("two-2", 5),
    ]
    assert all(each.created and each.session.batch == 1 for each in [*first, *second])


def test_r1_a_known_id_gives_the_stored_session_and_takes_no_number(dao: ClickstreamDao) -> None:
    """R1: appending an id again, with whatever content, returns what is stored and changes nothing."""
    [created] = dao.sessions.append([session_draft("s-1")])
    again = dao.sessions.append([session_draft("s-0"), session_draft("s-1", query="other"), session_draft("s-2")])
    assert [each.created for each in again] == [True, False, True]
    assert again[1].session == created.session == dao.sessions.get("s-1")
    assert numbers(dao) == [1, 2, 3]


def test_r1_one_id_twice_in_one_append_is_created_once(dao: ClickstreamDao) -> None:
    """R1: of two drafts with one id in a group the first is stored, and both are answered with it."""
    first, second = dao.sessions.append([session_draft("s-1", query="one"), session_draft("s-1", query="two")])
    assert (first.created, second.created) == (True, False)
    assert second.session == first.session == dao.sessions.get("s-1")
    assert numbers(dao) == [1]


def test_r1_everything_about_a_session_is_kept(dao: ClickstreamDao) -> None:
    """R1: a draft is read back as it was, byte for byte."""
    draft = session_draft("s-ünïcode-🙂", user_id="u-1")
    dao.sessions.append([draft])
    stored = dao.sessions.get(draft.session_id)
    for name in ("session_id", "created_at", "server_time", "user_id", "payload"):
        assert getattr(stored, name) == getattr(draft, name)
    assert stored.irrelevant_at is None


def test_an_unknown_session_is_none_everywhere(dao: ClickstreamDao) -> None:
    """R4: an id that was never stored is unknown to every method."""
    assert dao.sessions.get("never") is None
    assert dao.sessions.mark_irrelevant("never", NOW) is None
    assert dao.sessions.restore("never") is None


def test_r9_pages_go_by_number_within_one_batch(dao: ClickstreamDao) -> None:
    """R9: a page starts above `after`, ends at `limit` and never shows another batch, nor a seal."""
    dao.sessions.append(session_drafts(5))
    dao.batches.release("r-1", None, NOW)
    dao.sessions.append(session_drafts(1, "next"))
    assert numbers(dao, limit=2) == [1, 2]
    assert numbers(dao, after=2, limit=2) == [3, 4]
    assert numbers(dao, after=4, limit=2) == [5]
    assert numbers(dao, after=5) == []
    assert numbers(dao, batch=2) == [1]
    assert numbers(dao, batch=3) == []


def test_r11_a_mark_keeps_its_first_time_and_can_be_taken_back(dao: ClickstreamDao) -> None:
    """R11: irrelevant sessions are left out unless asked for; marking and restoring are idempotent."""
    dao.sessions.append(session_drafts(3))
    for at in (NOW, NOW + SECOND):
        assert dao.sessions.mark_irrelevant("s-2", at).irrelevant_at == NOW
    assert numbers(dao, irrelevant=False) == [1, 3]
    assert numbers(dao, irrelevant=False, after=1, limit=1) == [3]
    assert numbers(dao) == [1, 2, 3]
    for _ in range(2):
        assert dao.sessions.restore("s-2").irrelevant_at is None
    assert numbers(dao, irrelevant=False) == [1, 2, 3]


def test_r1_an_irrelevant_session_appended_again_stays_irrelevant(dao: ClickstreamDao) -> None:
    """R1: a retry of CreateSession does not take a mark back."""
    dao.sessions.append([session_draft("s-1")])
    dao.sessions.mark_irrelevant("s-1", NOW)
    [again] = dao.sessions.append([session_draft("s-1")])
    assert not again.created
    assert again.session.irrelevant_at == NOW


def test_r4_events_of_an_unknown_session_are_not_stored(dao: ClickstreamDao) -> None:
    """R4: one unknown session in a group costs its own push only, also when the session comes later."""
    dao.sessions.append([session_draft("s-1")])
    unknown, known = dao.events.append([push("s-2", "e-1"), push("s-1", "e-1")])
    assert isinstance(unknown, NotFound)
    assert unknown.reason == "SESSION_NOT_FOUND"
    assert known == [None]
    dao.sessions.append([session_draft("s-2")])
    assert event_ids(dao.events.of_sessions(1, 1, 2).of) == {1: ["e-1"]}


def test_r4_after_a_retry_of_a_session_its_events_still_go_to_it(dao: ClickstreamDao) -> None:
    """R1, R4: a session sent again in a group with new ones keeps its place, and so do its later events."""
    dao.sessions.append(session_drafts(2))
    dao.sessions.append([session_draft("new"), session_draft("s-1"), session_draft("newer")])
    dao.events.append([push("s-1", "e-1"), push("newer", "e-2")])
    assert event_ids(dao.events.of_sessions(1, 1, 9).of) == {1: ["e-1"], 4: ["e-2"]}


def test_r2_an_event_id_is_taken_once_across_calls(dao: ClickstreamDao) -> None:
    """R2: the store returns, per event, the stored event that already had its id, unchanged."""
    dao.sessions.append([session_draft("s-1")])
    first = event_draft("e-1", "a")
    assert dao.events.append([EventPush("s-1", [first])]) == [[None]]
    [[holder, new]] = dao.events.append([EventPush("s-1", [event_draft("e-1", "b"), event_draft("e-2")])])
    assert (holder.event_id, holder.payload, holder.server_time) == ("e-1", first.payload, first.server_time)
    assert new is None
    kept = dao.events.of_sessions(1, 1, 1).of[1]
    assert [event.payload for event in kept.events] == [first.payload, event_draft("e-2").payload]


def test_r2_an_event_id_is_taken_once_within_a_group(dao: ClickstreamDao) -> None:
    """R2: of equal ids in one push, or in two pushes of one group, the first is stored and has the id."""
    dao.sessions.append([session_draft("s-1")])
    one, two, three = event_draft("e-1", "a"), event_draft("e-1", "b"), event_draft("e-1", "c")
    [[first, second], [third]] = dao.events.append([EventPush("s-1", [one, two]), EventPush("s-1", [three])])
    assert first is None
    assert second.payload == third.payload == one.payload
    assert [event.payload for event in dao.events.of_sessions(1, 1, 1).of[1].events] == [one.payload]


def test_r2_the_same_event_id_in_two_sessions_is_two_events(dao: ClickstreamDao) -> None:
    """R2: an event id is unique within its session only, also across batches with equal numbers."""
    dao.sessions.append(session_drafts(2))
    dao.batches.release("r-1", None, NOW)
    dao.sessions.append([session_draft("next")])
    assert dao.events.append([push("s-1", "e"), push("s-2", "e"), push("next", "e")]) == [[None], [None], [None]]
    assert event_ids(dao.events.of_sessions(1, 1, 2).of) == {1: ["e"], 2: ["e"]}
    assert event_ids(dao.events.of_sessions(2, 1, 2).of) == {1: ["e"]}


def test_r11_a_range_of_sessions_has_its_events_by_id(dao: ClickstreamDao) -> None:
    """R11: one range read gives the events of exactly the sessions asked for, sorted by event id."""
    dao.sessions.append(session_drafts(4))
    dao.events.append([push("s-4", "z"), push("s-2", "b", "a", "é", "c"), push("s-1", "x"), push("s-3", "y")])
    assert event_ids(dao.events.of_sessions(1, 2, 3).of) == {2: ["a", "b", "c", "é"], 3: ["y"]}
    assert dao.events.of_sessions(1, 5, 9).of == {}


def test_r7_events_beyond_the_listing_limit_are_counted(dao: ClickstreamDao, monkeypatch) -> None:
    """R7: a session lists its first events by id, and says how many more it has."""
    monkeypatch.setattr(limits, "LISTED_EVENTS", 3)
    dao.sessions.append(session_drafts(1))
    dao.events.append([push("s-1", "d", "b", "a", "e", "c")])
    listed = dao.events.of_sessions(1, 1, 1).of[1]
    assert ([event.event_id for event in listed.events], listed.omitted) == (["a", "b", "c"], 2)


def test_r7_event_bytes_beyond_the_listing_limit_are_counted(dao: ClickstreamDao, monkeypatch) -> None:
    """R7: a session with large events lists as many as fit, and says how many more it has."""
    monkeypatch.setattr(limits, "LISTED_EVENT_BYTES", 2 * len(event_draft("a").payload))
    dao.sessions.append(session_drafts(1))
    dao.events.append([push("s-1", "a", "b", "c")])
    listed = dao.events.of_sessions(1, 1, 1).of[1]
    assert ([event.event_id for event in listed.events], listed.omitted) == (["a", "b"], 1)


def test_r7_sessions_after_one_beyond_the_limit_are_still_listed(dao: ClickstreamDao, monkeypatch) -> None:
    """R7: reading goes on behind a session with too many events, also behind two in a row and at the end."""
    monkeypatch.setattr(limits, "LISTED_EVENTS", 2)
    dao.sessions.append(session_drafts(5))
    dao.events.append([push(f"s-{number}", *"abcde"[:count]) for number, count in ((1, 3), (2, 5), (4, 2), (5, 4))])
    page = dao.events.of_sessions(1, 1, 5)
    assert event_ids(page.of) == {number: ["a", "b"] for number in (1, 2, 4, 5)}
    assert {number: of.omitted for number, of in page.of.items()} == {1: 1, 2: 3, 4: 0, 5: 2}


@pytest.mark.parametrize("read_past", [0, 1, 100])
@pytest.mark.parametrize("limit", [0, 1, 2, 3, 5, 10_000])
def test_r7_a_reader_lists_as_many_events_as_it_asks_for(
    dao: ClickstreamDao, monkeypatch: pytest.MonkeyPatch, limit: int, read_past: int
) -> None:
    """R7: each session lists its first events by id and counts the others, whatever its neighbours have."""
    monkeypatch.setattr(mongo_events, "READ_PAST", read_past)
    counts = {1: 3, 2: 5, 4: 2, 5: 1, 6: 4, 8: 1}
    dao.sessions.append(session_drafts(9))
    dao.events.append([push(f"s-{number}", *"abcde"[:count]) for number, count in counts.items()])
    page = dao.events.of_sessions(1, 2, 9, limit)
    del counts[1]
    assert event_ids(page.of) == {number: list("abcde"[: min(count, limit)]) for number, count in counts.items()}
    assert {number: of.omitted for number, of in page.of.items()} == {
        number: max(0, count - limit) for number, count in counts.items()
    }
    assert page.last == 9
    assert dao.events.of_sessions(1, 9, 9, limit).of == {}


def test_r7_the_listing_limits_hold_below_a_readers_own(dao: ClickstreamDao, monkeypatch) -> None:
    """R7: a session lists no more than its megabyte and a page no more than its two, whatever number is asked for."""
    size = len(event_draft("a").payload)
    dao.sessions.append(session_drafts(3))
    dao.events.append([push(f"s-{number}", *"abcd") for number in (1, 2, 3)])
    monkeypatch.setattr(limits, "LISTED_EVENT_BYTES", 2 * size)
    page = dao.events.of_sessions(1, 1, 3, 3)
    assert event_ids(page.of) == {number: ["a", "b"] for number in (1, 2, 3)}
    assert {of.omitted for of in page.of.values()} == {2}
    monkeypatch.setattr(limits, "PAGE_BYTES", 4 * size)
    page = dao.events.of_sessions(1, 1, 3, 3)
    assert (list(page.of), page.last) == ([1, 2], 2)
    monkeypatch.setattr(limits, "LISTED_EVENTS", 1)
    page = dao.events.of_sessions(1, 1, 3, 3)
    assert event_ids(page.of) == {number: ["a"] for number in (1, 2, 3)}


def test_r7_a_page_of_sessions_is_bounded_in_bytes(dao: ClickstreamDao, monkeypatch) -> None:
    """R7, R9: a page ends before the session that does not fit, says that it is not complete, and is never empty."""
    drafts = session_drafts(5)
    dao.sessions.append(drafts)
    size = len(drafts[0].payload)
    for room, expected in ((2 * size, [2, 3]), (3 * size - 1, [2, 3]), (3 * size, [2, 3, 4]), (1, [2])):
        monkeypatch.setattr(limits, "PAGE_BYTES", room)
        page = dao.sessions.page(1, 1, 100, include_irrelevant=True)
        assert ([each.number for each in page.sessions], page.complete) == (expected, False)


def test_r9_a_page_is_complete_when_nothing_further_is_registered(dao: ClickstreamDao, monkeypatch) -> None:
    """R9: a page that its limit ended may have a successor; one that ended before has none."""
    drafts = session_drafts(3)
    dao.sessions.append(drafts)
    monkeypatch.setattr(limits, "PAGE_BYTES", 3 * len(drafts[0].payload))
    assert not dao.sessions.page(1, 0, 3, include_irrelevant=True).complete
    assert dao.sessions.page(1, 0, 4, include_irrelevant=True).complete
    assert dao.sessions.page(1, 3, 1, include_irrelevant=True) == SessionPage([], complete=True)


def test_r7_a_range_of_events_is_bounded_in_bytes(dao: ClickstreamDao, monkeypatch) -> None:
    """R7: reading ends before the session whose events do not fit, says where, and lists at least one session."""
    dao.sessions.append(session_drafts(6))
    dao.events.append([push(f"s-{number}", "e-1", "e-2") for number in (2, 3, 5)])
    size = 2 * len(event_draft("e-1").payload)
    for room, numbers_read, last in (
        (2 * size, [2, 3], 4),
        (2 * size - 1, [2], 2),
        (1, [2], 2),
        (3 * size, [2, 3, 5], 6),
    ):
        monkeypatch.setattr(limits, "PAGE_BYTES", room)
        page = dao.events.of_sessions(1, 1, 6)
        assert (list(page.of), page.last) == (numbers_read, last)


def test_r15_a_session_has_events_or_none(dao: ClickstreamDao) -> None:
    """R15: only a session's own events count, in its own batch."""
    dao.sessions.append(session_drafts(3))
    dao.events.append([push("s-2", "e-1")])
    assert [dao.events.has_any(1, number) for number in (1, 2, 3)] == [False, True, False]
    assert not dao.events.has_any(2, 2)


def test_r2_threads_pushing_the_same_events_store_each_once(dao: ClickstreamDao) -> None:
    """R2: of several threads that push the same event at once, exactly one gets the answer that it was new."""
    dao.sessions.append(session_drafts(1))
    pushes = [push("s-1", *(f"e-{number}" for number in range(20))) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda sent: dao.events.append([sent])[0], pushes))
    for number in range(20):
        assert sum(answer[number] is None for answer in answers) == 1
    assert len(dao.events.of_sessions(1, 1, 1).of[1].events) == 20
