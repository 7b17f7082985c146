"""Events written by several groups at once, on the real server (R2)."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from pymongo.database import Database
from support.builders import push, session_draft

from clickstream.dao.mongo import events as module
from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.errors import Unavailable


def test_r2_of_equal_events_in_groups_at_once_one_is_accepted(database: Database[Document]) -> None:
    """R2: the same events in groups that are written at the same time are accepted once, and else duplicates."""
    dao = MongoDao(database)
    dao.sessions.append([session_draft("s-1")])
    with ThreadPoolExecutor(4) as threads:
        for round_number in range(10):
            same = push("s-1", *(f"{round_number}-{each}" for each in range(300)))
            answers = [each.result(30)[0] for each in [threads.submit(dao.events.append, [same]) for _ in range(4)]]
            assert not [each for each in answers if isinstance(each, Exception)]
            for event, *holders in zip(same.events, *answers, strict=True):
                assert holders.count(None) == 1
                assert {holder.payload for holder in holders if holder} == {event.payload}


@pytest.mark.parametrize("late", [3, 100])
def test_r2_a_holder_that_is_not_visible_yet_is_waited_for(
    database: Database[Document], monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    """R2: a taken key whose event no majority has is looked up again a few times; then the outcome is unknown."""
    dao = MongoDao(database)
    dao.sessions.append([session_draft("s-1")])
    dao.events.append([push("s-1", "e-1")])
    monkeypatch.setattr(module, "HOLDER_WAITS", (0.0, 0.0, 0.0, 0.0))
    holders, looks = dao.events._holders, []

    def look(keys: list[module.Key]) -> object:
        looks.append(keys)
        return holders(keys) if len(looks) > late else {}

    monkeypatch.setattr(dao.events, "_holders", look)
    [answer] = dao.events.append([push("s-1", "e-1")])
    if late == 3:
        assert [holder and holder.event_id for holder in answer] == ["e-1"]
    else:
        assert isinstance(answer, Unavailable)
        assert len(looks) == 5
