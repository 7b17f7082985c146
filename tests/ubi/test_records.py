import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from clickstream.ubi.records import EventLine, QueryLine, Read, Unread
from clickstream.ubi.records import read as read_documents

QUERY = {
    "application": "shop",
    "query_id": "q1",
    "client_id": "c1",
    "user_query": " red shoes ",
    "query_response_hit_ids": ["a", "b"],
    "timestamp": "2025-01-24T07:31:30.699+0000",
}
CLICK = {
    "action_name": "click",
    "query_id": "q1",
    "client_id": "c1",
    "user_id": "",
    "timestamp": 1717527762059,
    "event_attributes": {
        "object": {"object_id": "a", "name": "Runner", "description": "A shoe", "price": 10},
        "position": {"ordinal": 3},
        "ip": "10.0.0.1",
        "browser": "Mozilla",
    },
}


def bulk(*documents: tuple[str, str, dict]) -> list[bytes]:
    """Lines of a bulk file from (index, id, document)."""
    lines = []
    for index, document_id, document in documents:
        lines.append(json.dumps({"index": {"_index": index, "_id": document_id}}).encode())
        lines.append(json.dumps(document).encode())
    return lines


def read(lines: list[bytes]) -> list[QueryLine | EventLine | Unread]:
    """The record of each document."""
    found = read_documents((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    return [one.record if isinstance(one, Read) else one for one in found]


def only(lines: list[bytes]) -> QueryLine | EventLine | Unread:
    """Reads lines that are exactly one record."""
    (record,) = read(lines)
    return record


def test_a_query_document_is_read_in_full():
    """The text is trimmed, hit ids keep their order, and a time offset without a colon is read."""
    record = only(bulk(("ubi_queries", "1", QUERY)))
    assert record == QueryLine(
        line=1,
        query_id="q1",
        text="red shoes",
        hit_ids=("a", "b"),
        at=datetime(2025, 1, 24, 7, 31, 30, 699_000, UTC),
        application="shop",
        user_id="c1",
    )


def test_an_event_document_is_read_without_its_private_parts():
    """Object, ordinal, time in milliseconds and item text are read; address and browser are not."""
    record = only(bulk(("ubi_events", "e1", CLICK)))
    assert isinstance(record, EventLine)
    assert (record.event_id, record.action, record.object_id, record.ordinal) == ("e1", "click", "a", 3)
    assert record.at == datetime(2024, 6, 4, 19, 2, 42, 59_000, UTC)
    assert record.item == {"title": "Runner", "text": "A shoe"}
    assert record.user_id == "c1", "an empty user_id is replaced by the client_id"
    assert "10.0.0.1" not in repr(record)
    assert "Mozilla" not in repr(record)


def test_a_plain_ndjson_document_gets_its_kind_and_id_from_its_content():
    """Without action lines the kind follows from the fields, and the id from the content in any order of keys."""
    shuffled = dict(reversed(CLICK.items()))
    query, event = read([json.dumps(QUERY).encode(), json.dumps(CLICK).encode()])
    again = only([b"", json.dumps(shuffled).encode()])
    assert isinstance(query, QueryLine)
    assert isinstance(event, EventLine)
    assert isinstance(again, EventLine)
    assert event.event_id == again.event_id
    assert len(event.event_id) == 32
    other = only([json.dumps(CLICK | {"timestamp": 1}).encode()])
    assert isinstance(other, EventLine)
    assert other.event_id != event.event_id


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"action_name": "click"', "not valid JSON"),
        (b'{"action_name": "click", "x": NaN}', "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"action_name": ' + b"9" * 5_000 + b"}", "not valid JSON"),
        (b'{"action_name": "cl\xffck"}', "not valid UTF-8 text"),
        (b'{"action_name": "\\ud800"}', "not valid UTF-8 text"),
        (b'["click"]', "not a JSON object"),
        (b"{}", "neither a UBI query nor a UBI event"),
        (b'{"action_name": null}', "no action_name"),
        (b'{"user_query": "x", "query_id": null}', "no query_id"),
        (
            b'{"user_query": "x", "query_id": "q", "query_response_hit_ids": "a"}',
            "query_response_hit_ids is not a list",
        ),
    ],
)
def test_an_unusable_document_stops_no_other(line, reason):
    """Any unusable line becomes one record with a reason and its line number, and the next line is read."""
    first, second = read([line, json.dumps(CLICK).encode()])
    assert isinstance(first, Unread)
    assert (first.line, first.reason) == (1, reason)
    assert isinstance(second, EventLine)


def test_an_unknown_index_is_refused_by_name():
    """A document of an index that is no UBI index is refused, and the reason names the index."""
    record = only(bulk(("orders", "1", CLICK)))
    assert isinstance(record, Unread)
    assert record.reason == "unknown index name 'orders'"


def test_a_truncated_bulk_file_ends_with_a_reason():
    """An action line without its document is one rejected document."""
    records = list(read(bulk(("ubi_events", "x", CLICK), ("ubi_events", "y", CLICK))[:3]))
    assert isinstance(records[0], EventLine)
    assert records[1:] == [Unread(3, "unknown", "the file ends after the action line")]


def test_a_document_that_lost_its_action_line_gets_no_made_up_id():
    """In a bulk file a broken action line costs its document: under another id the mended file would count it twice."""
    lines = bulk(("ubi_events", "x", CLICK), ("ubi_events", "y", CLICK), ("ubi_events", "z", CLICK))
    lines[2] = b'{"index": {"_ind'
    records = list(read(lines))
    assert [record.reason for record in records if isinstance(record, Unread)] == [
        "not valid JSON",
        "a document without its action line",
    ]
    assert [record.event_id for record in records if isinstance(record, EventLine)] == ["x", "z"]


def test_deletions_and_updates_are_refused():
    """A deletion (one line) and an update (two lines) of a bulk file are each refused with a reason."""
    lines = [
        b'{"delete": {"_index": "ubi_events", "_id": "x"}}',
        b'{"update": {"_index": "ubi_events", "_id": "x"}}',
        b'{"doc": {}}',
        *bulk(("ubi_events", "y", CLICK)),
    ]
    deletion, update, event = read(lines)
    assert deletion == Unread(1, "unknown", "a deletion, which is not imported")
    assert update == Unread(2, "unknown", "unknown index name '(update)'")
    assert isinstance(event, EventLine)


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("2024-12-10T00:01:29.378Z", datetime(2024, 12, 10, 0, 1, 29, 378_000, UTC)),
        ("2024-12-10T01:01:29+01:00", datetime(2024, 12, 10, 0, 1, 29, 0, UTC)),
        ("2024-12-10T00:01:29", datetime(2024, 12, 10, 0, 1, 29, 0, UTC)),
        (1733788889, datetime(2024, 12, 10, 0, 1, 29, 0, UTC)),
        ("1733788889000", datetime(2024, 12, 10, 0, 1, 29, 0, UTC)),
        ("yesterday", None),
        ("", None),
        (None, None),
        (True, None),
        ("20231114", datetime(2023, 11, 14, 0, 0, 0, 0, UTC)),
        (20231114, datetime(2023, 11, 14, 0, 0, 0, 0, UTC)),
        ("20231114221320", datetime(2023, 11, 14, 22, 13, 20, 0, UTC)),
        ("1700000000.5", datetime(2023, 11, 14, 22, 13, 20, 500_000, UTC)),
        (1700000000500000, datetime(2023, 11, 14, 22, 13, 20, 500_000, UTC)),
        (10**400, None),
        (1e300, None),
        ("0001-01-01T00:00:00+10:00", None),
    ],
)
def test_times_are_read_in_every_form_that_ubi_files_use(timestamp, expected):
    """A time is ISO 8601 with or without a zone, or seconds or milliseconds as number or text; the rest is no time."""
    record = only([json.dumps(CLICK | {"timestamp": timestamp}).encode()])
    assert isinstance(record, EventLine)
    assert record.at == expected


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose local time is eleven hours behind UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Somewhere+11")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
def test_r1_a_time_without_a_zone_is_utc_on_every_machine():
    """R1: content comes from the file alone, so the machine's time zone changes nothing."""
    record = only([json.dumps(CLICK | {"timestamp": "2024-12-10T00:01:29"}).encode()])
    assert isinstance(record, EventLine)
    assert record.at == datetime(2024, 12, 10, 0, 1, 29, 0, UTC)


def test_r7_an_items_texts_are_cut():
    """R7: an item has at most 200 characters of its title or brand and 2,000 of its description."""
    item = {"object_id": "a", "name": "n" * 5_000, "description": "d" * 5_000, "brand": "b" * 5_000}
    record = only([json.dumps(CLICK | {"event_attributes": {"object": item}}).encode()])
    assert isinstance(record, EventLine)
    assert {key: len(text) for key, text in record.item.items()} == {"title": 200, "text": 2_000, "brand": 200}


@pytest.mark.parametrize("attributes", [None, [], "x", {}, {"object": None}, {"object": {"object_id": ["a"]}}])
def test_an_event_without_a_usable_object_has_none(attributes):
    """Missing or malformed attributes leave the object and the ordinal empty."""
    record = only([json.dumps(CLICK | {"event_attributes": attributes}).encode()])
    assert isinstance(record, EventLine)
    assert (record.object_id, record.ordinal) == ("", None)


def test_numbered_objects_keep_their_number_as_id():
    """An object id that is a whole number is read as text, in hit lists and in events."""
    event = CLICK | {"event_attributes": {"object": {"object_id": 7}, "position": {"ordinal": -1}}}
    query_record, event_record = read(
        bulk(("ubi_queries", "1", QUERY | {"query_response_hit_ids": [7, None, True, "b"]}), ("ubi_events", "2", event))
    )
    assert isinstance(query_record, QueryLine)
    assert isinstance(event_record, EventLine)
    assert query_record.hit_ids == ("7", "b")
    assert (event_record.object_id, event_record.ordinal) == ("7", None)


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ({"ordinal": 3}, 3),
        ({"ordinal": "3"}, 3),
        ({"ordinal": 3.0}, 3),
        ({"ordinal": {"index": 3}}, 3),
        ({"index": 3}, 3),
        (3, 3),
        ({"ordinal": -1}, None),
        ({"ordinal": 3.5}, None),
        ({"ordinal": True}, None),
        ({"ordinal": int("9" * 400)}, None),
        ({"ordinal": "9" * 400}, None),
        ({"ordinal": 1e300}, None),
        ({"x": 10}, None),
    ],
)
def test_a_place_is_read_in_every_form_and_never_ends_the_import(position, expected):
    """The schemas write it as a number, as text and as an object; what is no place is none."""
    attributes = CLICK["event_attributes"] | {"position": position}
    record = only([json.dumps(CLICK | {"event_attributes": attributes}).encode()])
    assert isinstance(record, EventLine)
    assert record.ordinal == expected


@pytest.mark.parametrize("given", [7, "7", 7.0, {"id": 7}, {"object_id": "7"}, {"$numberLong": "7"}])
def test_ids_are_numbers_texts_or_objects(given):
    """Each is the same id, in hit lists, events and query ids."""
    event = CLICK | {"query_id": given, "event_attributes": {"object": {"object_id": given}}}
    query, act = read([json.dumps(QUERY | {"query_response_hit_ids": [given]}).encode(), json.dumps(event).encode()])
    assert isinstance(query, QueryLine)
    assert isinstance(act, EventLine)
    assert (query.hit_ids, act.object_id, act.query_id) == (("7",), "7", "7")


def test_older_names_are_read():
    """`query_response_object_ids` is the older name of the hits, `data` that of the object."""
    older = {key: value for key, value in QUERY.items() if key != "query_response_hit_ids"}
    query, event = read(
        [
            json.dumps(older | {"query_response_object_ids": ["x", "y"]}).encode(),
            json.dumps(CLICK | {"event_attributes": {"data": {"internal_id": "i", "object_id": "x"}}}).encode(),
        ]
    )
    assert isinstance(query, QueryLine)
    assert isinstance(event, EventLine)
    assert query.hit_ids == ("x", "y")
    assert (event.object_id, event.internal_id) == ("x", "i")


@pytest.mark.parametrize(
    "index",
    ["ubi_events-000001", ".ds-ubi_events-2025.01.01-000001", "ubi_events_v2", ".ubi_log_events", "ubi_shop_events"],
)
def test_rolled_over_index_names_are_those_of_their_alias(index):
    """In action lines, in dump lines and before a tab."""
    document = json.dumps(CLICK)
    dumped = json.dumps({"_index": index, "_id": "e1", "_source": CLICK}).encode()
    assert isinstance(only(bulk((index, "e1", CLICK))), EventLine)
    assert isinstance(only([f"{index}\t{document}".encode()]), EventLine)
    record = only([dumped])
    assert isinstance(record, EventLine)
    assert record.event_id == "e1"
