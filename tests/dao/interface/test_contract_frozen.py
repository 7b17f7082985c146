"""What every store promises about the events and marks that count for training (R14)."""

from concurrent.futures import ThreadPoolExecutor

from support.builders import NOW, push, session_drafts

from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain import limits


def released(dao: ClickstreamDao, sessions: int = 3) -> None:
    """Releases three sessions: two events, one event, and marked irrelevant."""
    dao.sessions.append(session_drafts(sessions))
    dao.events.append([push("s-1", "e-2", "e-1"), push("s-2", "e-1")])
    dao.sessions.mark_irrelevant("s-3", NOW)
    dao.batches.release("r-1", None, NOW)


def counting(dao: ClickstreamDao, first: int = 1, last: int = 3) -> dict[int, list[str]]:
    """The ids of the events that count, by session number."""
    events, _ = dao.events.frozen(1, first, last)
    return {number: [event.event_id for event in of.events] for number, of in events.items() if of.events}


def test_r14_the_first_read_fixes_events_and_marks(dao: ClickstreamDao) -> None:
    """R14: the first read returns the events by id, and the sessions that are marked."""
    released(dao)
    events, irrelevant = dao.events.frozen(1, 1, 3)
    assert {number: [event.event_id for event in of.events] for number, of in events.items()} == {
        1: ["e-1", "e-2"],
        2: ["e-1"],
    }
    assert irrelevant == {3}
    assert all((of.late, of.omitted) == (0, 0) for of in events.values())


def test_r14_late_events_never_count_but_are_counted(dao: ClickstreamDao) -> None:
    """R14: an event that comes after the first read is kept out for ever, counted as late, and still listed."""
    released(dao)
    before = counting(dao)
    dao.events.append([push("s-1", "e-0", "e-9"), push("s-3", "e-1")])
    events, _ = dao.events.frozen(1, 1, 3)
    assert counting(dao) == before
    assert {number: of.late for number, of in events.items()} == {1: 2, 2: 0, 3: 1}
    assert len(dao.events.of_sessions(1, 1, 1).of[1].events) == 4


def test_r14_late_marks_change_nothing(dao: ClickstreamDao) -> None:
    """R14: marking or restoring a session after the first read does not change what that read fixed."""
    released(dao)
    dao.events.frozen(1, 1, 3)
    dao.sessions.mark_irrelevant("s-1", NOW)
    dao.sessions.restore("s-3")
    assert dao.events.frozen(1, 1, 3)[1] == {3}


def test_r14_pages_are_fixed_one_by_one(dao: ClickstreamDao) -> None:
    """R14: reading one range fixes no other range, nor the same numbers of another batch."""
    released(dao)
    dao.events.frozen(1, 1, 1)
    dao.events.append([push("s-1", "e-9"), push("s-2", "e-9")])
    assert counting(dao, 1, 1) == {1: ["e-1", "e-2"]}
    assert counting(dao, 2, 3) == {2: ["e-1", "e-9"]}
    assert dao.events.frozen(2, 1, 1) == ({}, frozenset())


def test_r14_events_beyond_the_limit_stay_beyond_it(dao: ClickstreamDao, monkeypatch) -> None:
    """R14: of a session with too many events the first by id count, and later ones do not push them out."""
    monkeypatch.setattr(limits, "LISTED_EVENTS", 2)
    dao.sessions.append(session_drafts(1))
    dao.events.append([push("s-1", "d", "b", "c", "e")])
    dao.batches.release("r-1", None, NOW)
    assert dao.events.frozen(1, 1, 1)[0][1].omitted == 2
    dao.events.append([push("s-1", "a", "f", "g")])
    of_session = dao.events.frozen(1, 1, 1)[0][1]
    assert [event.event_id for event in of_session.events] == ["b", "c"]
    assert (of_session.omitted, of_session.late) == (2, 3)


def test_r14_large_events_beyond_the_listing_bytes_do_not_count(dao: ClickstreamDao, monkeypatch) -> None:
    """R13, R14: a session with too many bytes of events trains with as many as are listed: memory stays bounded."""
    sent = push("s-1", "a", "b", "c")
    monkeypatch.setattr(limits, "LISTED_EVENT_BYTES", 2 * len(sent.events[0].payload))
    dao.sessions.append(session_drafts(1))
    dao.events.append([sent])
    dao.batches.release("r-1", None, NOW)
    of_session = dao.events.frozen(1, 1, 1)[0][1]
    assert ([event.event_id for event in of_session.events], of_session.omitted) == (["a", "b"], 1)


def test_r14_racing_first_reads_agree(dao: ClickstreamDao) -> None:
    """R14: readers that fix a page while events arrive all see the same events, then and later."""
    released(dao)
    late = [push("s-1", f"late-{number}") for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        pushing = [pool.submit(dao.events.append, [each]) for each in late[:6]]
        reads = [pool.submit(counting, dao) for _ in range(6)]
        pushing += [pool.submit(dao.events.append, [each]) for each in late[6:]]
        assert all(done.result() == [[None]] for done in pushing)
        seen = [read.result() for read in reads]
    assert seen == [seen[0]] * len(seen)
    assert counting(dao) == seen[0]
