from dataclasses import replace
from datetime import UTC, datetime

import pytest

from clickstream.transfer.account import DocumentOutcome
from clickstream.transfer.sender import Outgoing
from clickstream.ubi.records import EventLine, QueryLine
from clickstream.ubi.searches import Documents, rebuild

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
        "internal_id": "",
        "ordinal": None,
        "text": "",
        "typed": "",
        "application": "shop",
        "user_id": "c1",
        "item": {},
    } | fields
    return EventLine(line=line, event_id=f"e{line}", action=action, object_id=object_id, **given)


def rebuilt(*records: QueryLine | EventLine, unreadable: int = 0) -> Outgoing:
    """What is sent for the documents of one search."""
    search = Documents(records[0].query_id, records[0].line)
    items: dict = {}
    for record in records:
        search.add(record)
        if isinstance(record, EventLine) and record.item:
            items.setdefault(record.object_id, record.item)
    return rebuild(search, items, unreadable)


def positions(sent: Outgoing) -> dict[str, int]:
    """The position of each shown object id."""
    assert sent.session is not None
    return {item.object_id: item.position for item in sent.session.results}


def decided(sent: Outgoing) -> list[tuple[str, str]]:
    """The outcome and the reason of each document that is not sent."""
    return [(outcome.value, reason) for outcome, reason, _, _ in sent.decided]


def test_r6_pages_of_one_search_are_one_session():
    """R6: query lines with the same id are one search; its hits follow the time of their page, each object once."""
    session = rebuilt(query(3, hits=("c", "a"), second=9), query(1, hits=("a", "b"), second=1))
    assert positions(session) == {"a": 0, "b": 1, "c": 2}
    assert session.session is not None
    assert session.session.created_at.ToDatetime(UTC) == NOW.replace(second=1)
    assert session.documents == [("query", 3), ("query", 1)]


def test_r6_pages_follow_each_other_by_time_in_any_order_of_lines():
    """R6: a page that was shown later takes the later positions, in any order of lines; one without a time is last."""
    session = rebuilt(
        replace(query(1, hits=("d",)), at=None),
        query(2, hits=("c",), second=9),
        query(3, hits=("a", "b"), second=1),
    )
    assert positions(session) == {"a": 0, "b": 1, "c": 2, "d": 3}


def test_an_impression_shows_an_object_that_no_hit_list_names():
    """Hits take the positions 0, 1, 2 …; an impression of another object its ordinal, or the next free position."""
    session = rebuilt(
        query(1, hits=("a", "b")),
        event(2, "impression", "b", ordinal=7),
        event(3, "impression", "z", ordinal=5),
        event(4, "impression", "y", ordinal=1),
        event(5, "impression", "x"),
    )
    assert positions(session) == {"a": 0, "b": 1, "y": 2, "z": 5, "x": 6}


def test_impressions_alone_keep_their_ordinals():
    """Without hit ids the ordinals are the positions; a taken or huge ordinal becomes the next free position."""
    session = rebuilt(
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
    session = rebuilt(query(1, hits=("a",)), event(2, "click", "b", ordinal=1))
    assert positions(session) == {"a": 0}
    assert [(act.message.object_id, act.message.type) for act in session.acts] == [("b", "click")]


def test_an_impression_is_sent_as_an_impression():
    """An impression is an event of its own type, also beside an act on the same object."""
    session = rebuilt(query(1), event(2, "impression", "a"), event(3, "add_to_cart", "a"))
    assert [act.message.type for act in session.acts] == ["impression", "add_to_cart"]


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
        ([query(1, ""), event(2, "impression", "a")], ""),
    ],
)
def test_the_query_of_a_search_that_was_typed_on(records, expected):
    """The query line with most acts, then most hits, then the latest, has the text; without one, the events have it."""
    session = rebuilt(*records)
    assert session.session is not None
    assert session.session.query == expected


def test_actions_that_are_no_act_on_one_result_are_left_out_with_a_reason():
    """Searches, filters and page steps are counted and make no session, even if they name an object."""
    sent = rebuilt(event(1, "search", typed="sh"), event(2, "type_filter", "filter"), event(3, "page_exit", "a"))
    assert sent.session is None
    assert not sent.acts
    assert decided(sent) == [
        ("left out", "no act on one result: the search itself"),
        ("left out", "no act on one result: a filter or sort order"),
        ("left out", "no act on one result: a step from page to page"),
    ]


def test_an_action_that_no_table_names_is_sent_under_its_own_name():
    """An unknown action on an object is sent, because the importance policy may give its type a grade."""
    sent = rebuilt(query(1, hits=("a",)), event(2, "wishlist", "a"))
    assert sent.acts[0].message.type == "wishlist"


def test_acts_without_search_or_object_are_rejected():
    """An act that names no search or no object cannot be sent."""
    sent = rebuilt(event(1, "click", "a", query_id=""), event(2, "click"), event(3, "click", "x" * 257))
    assert decided(sent) == [
        ("rejected", "no query_id"),
        ("rejected", "no object_id"),
        ("rejected", "an object_id of more than 256 characters"),
    ]


def test_r1_an_act_without_a_time_gets_the_time_of_its_search():
    """R1: content comes from the file alone, so no clock fills a gap; a search without any time is rejected."""
    sent = rebuilt(query(1, second=3), event(2, "click", "a", at=None))
    assert sent.acts[0].message.created_at.ToDatetime(UTC) == NOW.replace(second=3)
    sent = rebuilt(event(1, "click", "a", at=None))
    assert sent.session is None
    assert decided(sent) == [("rejected", "no readable timestamp in its whole search")]


def test_repeated_documents_are_duplicates_or_conflicts():
    """A document whose id came before is not sent: a duplicate, or a conflict if its content differs."""
    search = Documents("q", 1)
    search.add(query(1))
    search.add(query(2), same=True)
    search.add(event(3, "click", "a"), same=False)
    assert [outcome for outcome, *_ in rebuild(search, {}).decided] == [
        DocumentOutcome.DUPLICATE,
        DocumentOutcome.CONFLICT,
    ]


def test_r7_what_fits_of_a_search_is_kept_and_the_rest_counted():
    """R7: beyond 1,000 hits, or an id of more than 256 characters, costs those hits alone, not the search."""
    hits = ("x" * 257, *(f"h{number}" for number in range(1_003)))
    sent = rebuilt(query(1, hits=hits), event(2, "impression", "late"), event(3, "click", "h1"))
    assert list(positions(sent)) == [f"h{number}" for number in range(1_000)]
    assert len(sent.acts) == 2
    assert sent.cut == {
        "an object_id of more than 256 characters": 1,
        "a shown result beyond the first 1,000 of its search": 4,
    }


def test_the_internal_id_of_an_event_may_be_what_the_hits_name():
    """Then the act is on the shown result; an object that the hits name keeps its own id."""
    sent = rebuilt(
        query(1, hits=("i1", "b")),
        event(2, "click", "a", internal_id="i1"),
        event(3, "click", "b", internal_id="i1"),
        event(4, "click", "c", internal_id="i9"),
    )
    assert [act.message.object_id for act in sent.acts] == ["i1", "b", "c"]


def test_acts_without_a_query_document_and_results_register_nothing():
    """No half session is left behind that a mended file would conflict with; the acts go to a known session."""
    sent = rebuilt(event(1, "click", "a"))
    assert sent.session is None
    assert len(sent.acts) == 1


def test_a_search_whose_query_may_be_unreadable_registers_nothing():
    """Where documents cannot be read, one of them may be the query of this search: its content would differ."""
    sent = rebuilt(event(1, "impression", "a"), event(2, "click", "a"), unreadable=1)
    assert sent.session is None
    assert not sent.acts
    assert [outcome for outcome, _ in decided(sent)] == ["rejected", "rejected"]
