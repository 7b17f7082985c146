from dataclasses import replace
from datetime import UTC, datetime

import pytest

from clickstream.transfer.account import Bucket, DocumentOutcome, ImportAccount
from clickstream.ubi.records import EventLine, QueryLine, Unread
from clickstream.ubi.searches import RebuiltSession, rebuild

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def query(
    line: int, text: str = "shoes", hits: tuple[str, ...] = (), second: int = 0, query_id: str = "q"
) -> QueryLine:
    """A query line of search `query_id`, `second` seconds after NOW."""
    return QueryLine(line, query_id, text, hits, NOW.replace(second=second), "shop", "c1")


def event(line: int, action: str, object_id: str = "", **fields: object) -> EventLine:
    """An event of search q at NOW."""
    given: dict = {
        "query_id": "q",
        "at": NOW,
        "ordinal": None,
        "text": "",
        "typed": "",
        "application": "shop",
        "user_id": "c1",
        "item": {},
    } | fields
    return EventLine(line=line, event_id=f"e{line}", action=action, object_id=object_id, **given)


def rebuilt(*records: QueryLine | EventLine | Unread) -> tuple[list[RebuiltSession], ImportAccount]:
    """The rebuilt sessions, and the account before anything is sent."""
    account = ImportAccount()
    return list(rebuild(records, account)), account


def positions(session: RebuiltSession) -> dict[str, int]:
    """The position of each shown object id."""
    return {item.object_id: item.position for item in session.shown}


def test_r6_pages_of_one_search_are_one_session():
    """R6: query lines with the same id are one search; its hits follow the time of their page, each object once."""
    (session,), account = rebuilt(query(3, hits=("c", "a"), second=9), query(1, hits=("a", "b"), second=1))
    assert positions(session) == {"a": 0, "b": 1, "c": 2}
    assert session.created_at == NOW.replace(second=1)
    assert session.query_lines == [3, 1]
    assert account.documents == 2
    assert account.accounted == 0, "a document of a session is counted when the session is sent"


def test_r6_pages_follow_each_other_by_time_in_any_order_of_lines():
    """R6: a page that was shown later takes the later positions, in any order of lines; one without a time is last."""
    (session,), _ = rebuilt(
        replace(query(1, hits=("d",)), at=None),
        query(2, hits=("c",), second=9),
        query(3, hits=("a", "b"), second=1),
    )
    assert positions(session) == {"a": 0, "b": 1, "c": 2, "d": 3}


def test_an_impression_shows_an_object_that_no_hit_list_names():
    """Hits take the positions 0, 1, 2 …; an impression of another object its ordinal, or the next free position."""
    (session,), _ = rebuilt(
        query(1, hits=("a", "b")),
        event(2, "impression", "b", ordinal=7),
        event(3, "impression", "z", ordinal=5),
        event(4, "impression", "y", ordinal=1),
        event(5, "impression", "x"),
    )
    assert positions(session) == {"a": 0, "b": 1, "y": 2, "z": 5, "x": 6}


def test_impressions_alone_keep_their_ordinals():
    """Without hit ids the ordinals are the positions; a taken or huge ordinal becomes the next free position."""
    (session,), _ = rebuilt(
        query(1),
        event(2, "impression", "b", ordinal=4),
        event(3, "impression", "a", ordinal=2),
        event(4, "impression", "c", ordinal=4),
        event(5, "impression", "d", ordinal=10**12),
        event(6, "impression", "a", ordinal=9),
    )
    assert positions(session) == {"a": 2, "b": 4, "c": 5, "d": 6}


def test_r12_a_click_does_not_show_its_object():
    """R4, R12: only hits and impressions are shown results; an act on another object is sent and adds none."""
    (session,), _ = rebuilt(query(1, hits=("a",)), event(2, "click", "b", ordinal=1))
    assert positions(session) == {"a": 0}
    assert [(act.object_id, act.type) for act in session.acts] == [("b", "click")]


def test_an_impression_is_sent_as_an_impression():
    """An impression is an event of its own type, also beside an act on the same object."""
    (session,), _ = rebuilt(query(1), event(2, "impression", "a"), event(3, "add_to_cart", "a"))
    assert [act.type for act in session.acts] == ["impression", "add_to_cart"]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([query(1, "sho"), query(2, "shoes", second=1)], "shoes"),
        ([query(1, "shoes"), query(2, "", second=1)], "shoes"),
        ([query(1, "shoes", ("a",)), query(2, "shoesx", second=1)], "shoes"),
        (
            [query(1, "red shoes", ("a", "b")), query(2, "shoes", ("c",), 1), event(3, "click", "c", text="shoes")],
            "shoes",
        ),
        ([query(1, ""), event(2, "impression", "a", text="boots")], "boots"),
        ([event(2, "impression", "a", text="boots"), event(3, "search", typed="bo")], "boots"),
        (
            [
                event(1, "impression", "a"),
                event(2, "search", typed="boots", at=NOW.replace(second=5)),
                event(3, "search", typed="boo"),
            ],
            "boots",
        ),
        ([event(1, "impression", "a")], ""),
    ],
)
def test_the_query_of_a_search_that_was_typed_on(records, expected):
    """The query line with most acts, then most hits, then the latest, has the text; without one, the events have it."""
    (session,), _ = rebuilt(*records)
    assert session.query == expected


def test_an_items_text_may_come_from_another_search():
    """The text of an item in the first event that has one becomes its meta in every search of the file."""
    sessions, _ = rebuilt(
        query(1, hits=("a",), query_id="p"),
        event(2, "impression", "a"),
        event(3, "click", "a", item={"text": "A shoe"}),
        event(4, "click", "a", item={"text": "Another text"}),
    )
    assert [item.meta for session in sessions for item in session.shown] == [{"text": "A shoe"}] * 2


def test_actions_that_are_no_act_on_one_result_are_left_out_with_a_reason():
    """Searches, filters and page steps are counted and make no session, even if they name an object."""
    sessions, account = rebuilt(
        event(1, "search", typed="sh"), event(2, "type_filter", "filter"), event(3, "page_exit", "a", query_id="")
    )
    assert sessions == []
    assert {bucket.reason: counts.total() for bucket, counts in account.counts.items()} == {
        "no act on one result: the search itself": 1,
        "no act on one result: a filter or sort order": 1,
        "no act on one result: a step from page to page": 1,
    }
    assert account.balanced


def test_an_action_that_no_table_names_is_sent_under_its_own_name():
    """An unknown action on an object is sent, because the importance policy may give its type a grade."""
    (session,), _ = rebuilt(query(1, hits=("a",)), event(2, "wishlist", "a"))
    assert session.acts[0].type == "wishlist"


def test_acts_without_search_or_object_are_rejected():
    """An act that names no search or no object cannot be sent."""
    _, account = rebuilt(event(1, "click", "a", query_id=""), event(2, "click"))
    assert account.counts[Bucket(DocumentOutcome.REJECTED, "no query_id")] == {"click": 1}
    assert account.counts[Bucket(DocumentOutcome.REJECTED, "no object_id")] == {"click": 1}
    assert account.lines[Bucket(DocumentOutcome.REJECTED, "no object_id")] == [2]


def test_r1_an_act_without_a_time_gets_the_time_of_its_search():
    """R1: content comes from the file alone, so no clock fills a gap; a search without any time is rejected."""
    (session,), _ = rebuilt(query(1, second=3), event(2, "click", "a", at=None))
    assert session.acts[0].created_at == NOW.replace(second=3)
    sessions, account = rebuilt(event(1, "click", "a", at=None))
    assert sessions == []
    assert account.total(DocumentOutcome.REJECTED) == account.documents == 1


def test_repeated_and_unreadable_documents_are_accounted_by_reason():
    """A repeated document is a duplicate, or a conflict if its content differs; an unreadable one is rejected."""
    _, account = rebuilt(Unread(1, "click", "r", "same"), Unread(2, "click", "r", "other"), Unread(3, "unknown", "r"))
    assert [
        account.total(outcome)
        for outcome in (DocumentOutcome.DUPLICATE, DocumentOutcome.CONFLICT, DocumentOutcome.REJECTED)
    ] == [1, 1, 1]
    assert account.balanced
