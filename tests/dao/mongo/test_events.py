"""Events on the real server: groups that are written at once, and what the store does not take (R2, R3)."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from pymongo.database import Database
from pymongo.write_concern import WriteConcern
from support.builders import push, session_draft, session_drafts

from clickstream.dao.mongo import events as module
from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.errors import Unavailable

# The tests' replica set has one member: it writes, and reports that two cannot acknowledge.
NO_MAJORITY = WriteConcern(w=2)


def test_r2_of_equal_events_in_groups_at_once_one_is_accepted(database: Database[Document]) -> None:
    """R2: the same events in groups that are written at once are accepted once; the others are duplicates."""
    dao = MongoDao(database)
    dao.sessions.append([session_draft("s-1")])
    with ThreadPoolExecutor(4) as threads:
        for round_number in range(10):
            same = push("s-1", *(f"{round_number}-{each}" for each in range(300)))
            answers = [each.result(30)[0] for each in [threads.submit(dao.events.append, [same]) for _ in range(4)]]
            assert not [each for each in answers if isinstance(each, Exception)]
            for event, *earlier in zip(same.events, *answers, strict=True):
                assert earlier.count(None) == 1
                assert {each.payload for each in earlier if each} == {event.payload}


@pytest.mark.parametrize("late", [3, 100])
def test_r2_an_event_that_is_not_visible_yet_is_waited_for(
    database: Database[Document], monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    """R2: a taken key whose event no majority has is looked up again a few times; then the outcome is unknown."""
    dao = MongoDao(database)
    dao.sessions.append([session_draft("s-1")])
    dao.events.append([push("s-1", "e-1")])
    monkeypatch.setattr(module, "VISIBLE_WAITS", (0.0, 0.0, 0.0, 0.0))
    earlier, looks = dao.events._stored, []

    def look(keys: list[module.Key]) -> object:
        looks.append(keys)
        return earlier(keys) if len(looks) > late else {}

    monkeypatch.setattr(dao.events, "_stored", look)
    [answer] = dao.events.append([push("s-1", "e-1")])
    if late == 3:
        assert [each and each.event_id for each in answer] == ["e-1"]
    else:
        assert isinstance(answer, Unavailable)
        assert len(looks) == 5


@pytest.mark.parametrize("stored_before", [[], ["e-2"]], ids=["all new", "one a duplicate"])
def test_r3_events_that_no_majority_acknowledged_are_not_accepted(
    database: Database[Document], stored_before: list[str]
) -> None:
    """R3: if the store wrote events but no majority acknowledged them, no push is answered as stored."""
    MongoDao(database).sessions.append([session_draft("s-1")])
    MongoDao(database).events.append([push("s-1", *stored_before)])
    dao = MongoDao(database.with_options(write_concern=NO_MAJORITY))
    with pytest.raises(Unavailable, match="not acknowledged by a majority"):
        dao.events.append([push("s-1", "e-1", "e-2")])
    [answer] = MongoDao(database).events.append([push("s-1", "e-1", "e-2")])
    assert [each and each.event_id for each in answer] == ["e-1", "e-2"]


def test_r3_an_event_that_the_store_refuses_is_not_accepted(database: Database[Document]) -> None:
    """R2, R3: the push of a refused event has an unknown outcome, and another push of the group is stored."""
    dao = MongoDao(database)
    dao.sessions.append(session_drafts(2))
    database.command("collMod", "session_events", validator={"_id.event_id": {"$ne": "refused"}})
    failed, stored = dao.events.append([push("s-1", "e-1", "refused"), push("s-2", "e-1")])
    assert isinstance(failed, Unavailable)
    assert stored == [None]
    assert [each.event_id for each in dao.events.of_sessions(1, 2, 2).of[2].events] == ["e-1"]
