import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as service
from embedding_studio.clickstream.v1 import error_reason_pb2
from google.rpc import code_pb2
from rich.console import Console
from support.scripted import InMemoryService, refuse, serving

from clickstream.transfer.account import (
    NEVER_SHOWN,
    NO_QUERY_TEXT,
    NO_SEARCH,
    SAME_SEARCH,
    SEARCH,
    SHOWN,
    Bucket,
    DocumentOutcome,
    ImportAccount,
)
from clickstream.ubi.importer import import_ubi
from clickstream.views.import_account import show_account


@pytest.fixture
def server() -> Iterator[tuple[InMemoryService, grpc.Channel]]:
    """The service in memory, and a real channel to it."""
    service_in_memory = InMemoryService()
    with serving(service_in_memory) as address, grpc.insecure_channel(address) as channel:
        yield service_in_memory, channel


def query(query_id: str = "q1", text: str = "shoes", hits: tuple[str, ...] = ("a", "b")) -> dict:
    """A UBI query document."""
    return {
        "query_id": query_id,
        "user_query": text,
        "query_response_hit_ids": list(hits),
        "client_id": "c1",
        "timestamp": "2025-01-24T07:31:30Z",
    }


def act(number: int, action: str = "click", object_id: str = "a", query_id: str = "q1") -> dict:
    """A UBI event document; the number makes it unique."""
    return {
        "action_name": action,
        "query_id": query_id,
        "timestamp": 1737703890000 + number,
        "event_attributes": {"object": {"object_id": object_id, "description": f"Item {object_id}"}},
    }


def write(path: Path, *documents: dict) -> Path:
    """Writes a plain ndjson file."""
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return path


def run(path: Path, channel: grpc.Channel) -> ImportAccount:
    """Imports without pauses between attempts."""
    account = import_ubi([path], channel, sleep=lambda _: None)
    assert account.balanced
    return account


def buckets(account: ImportAccount) -> dict[tuple[str, str], int]:
    """The number of documents by (outcome, reason)."""
    return {(bucket.outcome.value, bucket.reason): counts.total() for bucket, counts in account.counts.items()}


DOCUMENTS = (
    query(),
    query(hits=("c",)),
    act(1),
    act(2, "purchase", "c"),
    act(3, "click", "z"),
    act(4, "impression", "a", "q2"),
    act(5, "click", "a", "q2"),
    act(6, "search"),
)


def test_every_document_is_in_one_bucket_and_shown_results_are_sent(server, tmp_path):
    """Searches, merged lines, acts that train, acts that never train, and other actions: each is counted once."""
    service_in_memory, channel = server
    account = run(write(tmp_path / "ubi", *DOCUMENTS), channel)
    assert buckets(account) == {
        ("accepted", SEARCH): 1,
        ("merged", SAME_SEARCH): 1,
        ("accepted", SHOWN): 2,
        ("accepted", NEVER_SHOWN): 1,
        ("accepted", NO_QUERY_TEXT): 2,
        ("left out", "no act on one result: the search itself"): 1,
    }
    request = service_in_memory.sessions["q1"]
    assert request.historical
    assert [result.object_id for result in request.session.results] == ["a", "b", "c"]
    assert [result.position for result in request.session.results] == [0, 1, 2]
    assert request.session.results[0].meta["text"] == "Item a"
    assert request.session.created_at.ToJsonString() == "2025-01-24T07:31:30Z"
    assert service_in_memory.pushes[0].historical


def test_a_recorded_file_is_imported_exactly(server, pytestconfig):
    """Each of the 24 documents of a file as shops record it, broken ones included, is in the bucket of its kind."""
    service_in_memory, channel = server
    account = run(pytestconfig.rootpath / "tests" / "support" / "ubi_sample.ndjson", channel)
    assert buckets(account) == {
        ("accepted", SEARCH): 3,
        ("merged", SAME_SEARCH): 1,
        ("duplicate", "a document with the same id and same content came before"): 1,
        ("conflict", "a document with the same id and other content came before"): 1,
        ("accepted", SHOWN): 10,
        ("accepted", NEVER_SHOWN): 1,
        ("accepted", NO_QUERY_TEXT): 1,
        ("left out", "no act on one result: the search itself"): 1,
        ("left out", "no act on one result: a filter or sort order"): 1,
        ("left out", "no act on one result: a step from page to page"): 1,
        ("rejected", "no query_id"): 1,
        ("rejected", "no object_id"): 1,
        ("rejected", "not valid JSON"): 1,
    }
    assert {
        bucket.reason: count for bucket, count in account.acts().items() if bucket.outcome is DocumentOutcome.ACCEPTED
    } == {
        SHOWN: 5,
        NO_QUERY_TEXT: 1,
        NEVER_SHOWN: 1,
    }
    searches = [request.session for request in service_in_memory.sessions.values()]
    assert {search.query: [result.object_id for result in search.results] for search in searches} == {
        "garden hose": ["GS-1001", "GS-1002", "GS-1003", "GS-1004", "GS-1005", "GS-1006"],
        "rain barrel": ["GS-1007", "GS-1008"],
        "": ["GS-1004", "GS-1001"],
        "seed trays": ["GS-1010", "GS-1011"],
    }
    assert all("203.0.113." not in str(sent) for sent in [*searches, *service_in_memory.pushes]), (
        "an address is never sent"
    )


def test_r1_importing_twice_changes_nothing_and_says_so(server, tmp_path):
    """R1: ids and content come from the file alone, so a second import sends the same bytes, all duplicates."""
    service_in_memory, channel = server
    path = write(tmp_path / "ubi", *DOCUMENTS)
    first = run(path, channel)
    before = {key: event.SerializeToString(deterministic=True) for key, event in service_in_memory.events.items()}
    account = run(path, channel)
    assert first.changed
    assert not account.changed
    assert account.total(DocumentOutcome.ACCEPTED) == 0
    assert account.total(DocumentOutcome.DUPLICATE) == first.total(DocumentOutcome.ACCEPTED) == 6
    assert {
        key: event.SerializeToString(deterministic=True) for key, event in service_in_memory.events.items()
    } == before
    console = Console(record=True, width=200)
    show_account(account, console)
    assert "Nothing changed" in console.export_text()


def test_new_events_of_known_searches_are_a_change(server, tmp_path):
    """If the server has all searches already but not all events, the account says that something changed."""
    _, channel = server
    run(write(tmp_path / "monday", query()), channel)
    account = run(write(tmp_path / "tuesday", query(), act(1)), channel)
    assert account.total(DocumentOutcome.ACCEPTED) == 1
    assert account.changed


def test_acts_of_a_search_that_nobody_knows_are_rejected_and_leave_nothing(server, tmp_path):
    """Without a query document and without results there is no session, here or in the service: none is made up."""
    service_in_memory, channel = server
    account = run(write(tmp_path / "ubi", act(1)), channel)
    assert buckets(account) == {("rejected", NO_SEARCH): 1}
    assert service_in_memory.sessions == {}
    assert account.usable == 0


def test_acts_of_a_search_that_came_with_an_earlier_file_are_added(server, tmp_path):
    """An export of events follows one of queries: its acts are on what the registered search showed."""
    service_in_memory, channel = server
    run(write(tmp_path / "queries", query()), channel)
    account = run(write(tmp_path / "events", act(1), act(2, object_id="z")), channel)
    assert buckets(account) == {("accepted", SHOWN): 1, ("accepted", NEVER_SHOWN): 1}
    assert len(service_in_memory.sessions) == 1


def test_a_search_whose_query_document_is_broken_leaves_no_half_session(server, tmp_path):
    """Nothing is registered that the mended file would conflict with: after mending, all is accepted."""
    service_in_memory, channel = server
    path = write(tmp_path / "ubi", query(), act(1, "impression"), act(2))
    whole = path.read_text()
    path.write_text(whole.replace('{"query_id"', '"query_id"', 1))
    assert run(path, channel).usable == 0
    assert service_in_memory.sessions == {}
    path.write_text(whole)
    assert buckets(run(path, channel)) == {("accepted", SEARCH): 1, ("accepted", SHOWN): 2}


def test_a_search_registered_with_other_content_still_takes_its_acts(server, tmp_path):
    """If a later file has more results of a search, the registered session decides which objects were shown."""
    service_in_memory, channel = server
    run(write(tmp_path / "monday", query()), channel)
    account = run(write(tmp_path / "tuesday", query(hits=("a", "b", "c")), act(1), act(2, "click", "c")), channel)
    assert buckets(account) == {
        ("conflict", "the search is registered with other content"): 1,
        ("accepted", SHOWN): 1,
        ("accepted", NEVER_SHOWN): 1,
    }
    assert [result.object_id for result in service_in_memory.sessions["q1"].session.results] == ["a", "b"]


def test_a_refused_search_stops_no_other(server, tmp_path):
    """INVALID_ARGUMENT rejects the search with its documents, naming the field; the next search is sent."""
    service_in_memory, channel = server

    def fault(request, context):
        if isinstance(request, service.CreateSessionRequest) and len(request.session.query) > 10:
            refuse(context, code_pb2.INVALID_ARGUMENT, "ERROR_REASON_LIMIT_EXCEEDED", "session.query")

    service_in_memory.faults.append(fault)
    account = run(
        write(tmp_path / "ubi", query(text="x" * 11), act(1), query("q2"), act(2, query_id="q2")),
        channel,
    )
    assert buckets(account) == {
        ("rejected", "the search is refused: query: is too long"): 2,
        ("accepted", SEARCH): 1,
        ("accepted", SHOWN): 1,
    }


def test_every_line_of_a_refused_search_is_rejected(server, tmp_path):
    """A further line counts as merged only if the server has its search; otherwise it is rejected with it."""
    service_in_memory, channel = server
    service_in_memory.faults.append(
        lambda _, context: refuse(context, code_pb2.INVALID_ARGUMENT, "ERROR_REASON_INVALID_FIELD", "q")
    )
    account = run(write(tmp_path / "ubi", query(), query(hits=("c",))), channel)
    assert buckets(account) == {("rejected", "the search is refused: q: is too long"): 2}


def test_events_that_are_all_refused_name_their_fields(server, tmp_path):
    """If a call fails as a whole, each event is rejected with the violation of its own field."""
    service_in_memory, channel = server

    def fault(request, context):
        if isinstance(request, service.PushEventsRequest):
            refuse(context, code_pb2.INVALID_ARGUMENT, "ERROR_REASON_INVALID_FIELD", "events[0].type", "events[1].meta")

    service_in_memory.faults.append(fault)
    account = run(write(tmp_path / "ubi", query(), act(1), act(2)), channel)
    assert buckets(account) == {
        ("accepted", SEARCH): 1,
        ("rejected", "the event is refused: type: is too long"): 1,
        ("rejected", "the event is refused: meta: is too long"): 1,
    }


def test_r2_a_rejected_event_never_costs_a_good_one(server, tmp_path):
    """R2: outcomes are per event; conflict and rejection have their own buckets, with line numbers."""
    service_in_memory, channel = server
    service_in_memory.outcomes = [
        service.EventOutcome(code="CODE_ACCEPTED"),
        service.EventOutcome(code="CODE_CONFLICT"),
        service.EventOutcome(
            code="CODE_REJECTED",
            field="events[2].type",
            reason=error_reason_pb2.ERROR_REASON_INVALID_FIELD,
            description="letters only",
        ),
    ]
    account = run(write(tmp_path / "ubi", query(), act(1), act(2), act(3)), channel)
    rejected = Bucket(DocumentOutcome.REJECTED, "the event is refused: type: letters only")
    assert buckets(account) == {
        ("accepted", SEARCH): 1,
        ("accepted", SHOWN): 1,
        ("conflict", "the event id is taken by other content"): 1,
        ("rejected", rejected.reason): 1,
    }
    assert account.lines[rejected] == [4]


@pytest.mark.parametrize(
    ("code", "reason"), [(code_pb2.UNAVAILABLE, "STORE_UNAVAILABLE"), (code_pb2.RESOURCE_EXHAUSTED, "WRITE_QUEUE_FULL")]
)
def test_r1_an_error_that_may_pass_is_retried(server, tmp_path, code, reason):
    """R1: after UNAVAILABLE or a full write queue a call is repeated, and the account is the same as without them."""
    service_in_memory, channel = server
    failures = iter([True, False, True, True, False])

    def fault(request, context):
        if next(failures, False):
            refuse(context, code, f"ERROR_REASON_{reason}")

    service_in_memory.faults.append(fault)
    account = run(write(tmp_path / "ubi", query(), act(1)), channel)
    assert buckets(account) == {("accepted", SEARCH): 1, ("accepted", SHOWN): 1}
    assert account.stopped == ""


def test_a_server_that_stays_away_ends_the_import_with_every_document_accounted(server, tmp_path):
    """After six attempts nothing more is sent; documents without an answer are unacknowledged until the next import."""
    service_in_memory, channel = server
    calls = []

    def fault(request, context):
        calls.append(request)
        context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    service_in_memory.faults.append(fault)
    path = write(tmp_path / "ubi", *[query(f"q{number}") for number in range(200)], act(1, query_id="q7"))
    account = run(path, channel)
    assert account.total(DocumentOutcome.UNACKNOWLEDGED) == account.documents == 201
    assert account.stopped == "UNAVAILABLE: gone"
    assert len(calls) <= 16 * 6
    service_in_memory.faults.clear()
    assert run(path, channel).total(DocumentOutcome.ACCEPTED) == 201


def test_a_write_queue_that_stays_full_ends_the_import(server, tmp_path):
    """A busy server refuses no content, so after six attempts the documents are unacknowledged, not rejected."""
    service_in_memory, channel = server

    def fault(request, context):
        if isinstance(request, service.PushEventsRequest):
            refuse(context, code_pb2.RESOURCE_EXHAUSTED, "ERROR_REASON_WRITE_QUEUE_FULL")

    service_in_memory.faults.append(fault)
    account = run(write(tmp_path / "ubi", query(), act(1)), channel)
    assert buckets(account) == {
        ("accepted", SEARCH): 1,
        ("unacknowledged", "no acknowledgement: RESOURCE_EXHAUSTED"): 1,
    }
    assert account.stopped == "RESOURCE_EXHAUSTED: refused"


def test_r7_many_events_are_split_into_calls_within_the_limits(server, tmp_path):
    """R7: a message has at most 1,000 events, and an act on an id beyond 256 characters is rejected without a call."""
    service_in_memory, channel = server
    documents = [act(number) for number in range(2_001)]
    account = run(write(tmp_path / "ubi", query(), *documents, act(1, "click", "x" * 257)), channel)
    assert sorted(len(push.events) for push in service_in_memory.pushes) == [1, 1_000, 1_000]
    assert buckets(account)["rejected", "an object_id of more than 256 characters"] == 1


def test_r7_of_a_search_beyond_one_mebibyte_what_fits_is_kept(server, tmp_path):
    """R7: the last results are left out and counted; its acts are sent."""
    service_in_memory, channel = server
    hits = tuple(f"{number:03}" for number in range(1_000))
    texts = [act(number, "impression", hit) for number, hit in enumerate(hits)]
    for document in texts:
        document["event_attributes"]["object"]["description"] = "x" * 2_000
    account = run(write(tmp_path / "ubi", query(hits=hits), *texts), channel)
    sent = service_in_memory.sessions["q1"].session
    assert sent.ByteSize() <= 2**20
    assert [result.object_id for result in sent.results] == list(hits[: len(sent.results)])
    assert account.cut == {"a shown result beyond the 1 MiB of a search": 1_000 - len(sent.results)}
    assert account.usable == 1_001


def test_a_broken_line_stops_no_other(server, tmp_path):
    """A file with a broken line is imported; the broken line is one rejected document with its line number."""
    _, channel = server
    path = write(tmp_path / "ubi", query(), act(1))
    path.write_bytes(path.read_bytes() + b'{"action_name": "click", "query_')
    account = run(path, channel)
    assert account.documents == 3
    assert account.lines[Bucket(DocumentOutcome.REJECTED, "not valid JSON")] == [3]


def test_the_shown_account_names_every_bucket_and_the_sum(server, tmp_path):
    """The printed account has each reason, the sum, and the clicks, carts and purchases by reason."""
    _, channel = server
    console = Console(record=True, width=200)
    show_account(run(write(tmp_path / "ubi", *DOCUMENTS), channel), console)
    text = console.export_text()
    for expected in (SHOWN, NEVER_SHOWN, NO_QUERY_TEXT, SAME_SEARCH, "of 8 documents read", "purchases: 4"):
        assert expected in text


def test_event_types_of_other_names_are_listed(server, tmp_path):
    """An act under a name of its own is shown with its count, as a policy may not know it."""
    _, channel = server
    account = run(write(tmp_path / "ubi", query(), act(1), act(2, "item_click")), channel)
    assert account.other_types() == {"item_click": 1}
    console = Console(record=True, width=200)
    show_account(account, console)
    assert "Other event types: item_click 1." in console.export_text()
