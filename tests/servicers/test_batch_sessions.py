"""GetBatchSessions and StreamBatchSessions through a real channel (R7, R9, R11)."""

import threading
from collections.abc import AsyncIterator

import pytest
from embedding_studio.clickstream.v1 import batch_service_pb2 as pb
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as clickstream_pb
from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb
from embedding_studio.clickstream.v1 import session_pb2
from embedding_studio.clickstream.v1 import training_service_pb2 as training_pb
from grpc import StatusCode
from support.builders import (
    NOW,
    create_request,
    event,
    push,
    push_request,
    release_request,
    session_draft,
    session_drafts,
    struct,
)
from support.memory_store import MemoryDao
from support.servers import PATIENCE, InProcessServer, fields, reason, refused

from clickstream.domain import limits
from clickstream.servicers.batch_pages import BatchReader, Page


def pages(server: InProcessServer, **request) -> list[pb.GetBatchSessionsResponse]:
    """All pages of a reader that follows the page tokens."""
    found, token = [], ""
    while not found or token:
        found.append(server.batch.GetBatchSessions(pb.GetBatchSessionsRequest(page_token=token, **request)))
        token = found[-1].next_page_token
    return found


def ids(page) -> list[str]:
    """The session ids of a page."""
    return [each.session.session_id for each in page.sessions]


def streamed(server: InProcessServer, **request) -> list[str]:
    """The session ids of a stream."""
    answers = server.batch.StreamBatchSessions(pb.StreamBatchSessionsRequest(**request))
    return [each.stored_session.session.session_id for each in answers]


def test_r9_pages_by_token_and_by_number_show_each_session_once(any_server: InProcessServer) -> None:
    """R9, R11: both ways of paging, and the stream, give all sessions in order, with their events."""
    any_server.dao.sessions.append(session_drafts(7))
    any_server.dao.events.append([push("s-3", "e-2", "e-1"), push("s-7", "e-1")])
    expected = [f"s-{number}" for number in range(1, 8)]
    by_token = pages(any_server, batch_id="batch-1", page_size=3)
    assert [ids(page) for page in by_token] == [expected[:3], expected[3:6], expected[6:]]
    assert [page.next_after_number for page in by_token] == [3, 6, 7]
    assert [[each.event_id for each in read.events] for read in by_token[0].sessions] == [[], [], ["e-1", "e-2"]]
    after, by_number = 0, []
    while True:
        request = pb.GetBatchSessionsRequest(batch_id="batch-1", after_number=after, page_size=2)
        page = any_server.batch.GetBatchSessions(request)
        if not page.sessions:
            break
        by_number += ids(page)
        after = page.next_after_number
    assert by_number == expected
    assert (after, page.next_after_number) == (7, 7)
    assert streamed(any_server, batch_id="batch-1") == expected
    assert streamed(any_server, batch_id="batch-1", after_number=5) == expected[5:]


def test_r9_a_page_token_stays_with_its_batch(any_server: InProcessServer) -> None:
    """R9: a reader of the collecting batch that follows page tokens stays in that batch after its release."""
    any_server.dao.sessions.append(session_drafts(3))
    first = any_server.batch.GetBatchSessions(pb.GetBatchSessionsRequest(page_size=2))
    assert first.batch_id == "batch-1"
    any_server.dao.batches.release("r-1", None, NOW)
    any_server.dao.sessions.append([session_draft("next")])
    second = any_server.batch.GetBatchSessions(pb.GetBatchSessionsRequest(page_token=first.next_page_token))
    assert (second.batch_id, ids(second), second.next_page_token) == ("batch-1", ["s-3"], "")


def test_r9_a_reader_beside_writers_misses_nothing(any_server: InProcessServer) -> None:
    """R9: a reader that pages by number while sessions arrive sees numbers 1, 2, 3 … without a gap."""
    total = 120

    def write() -> None:
        for number in range(total):
            any_server.clickstream.CreateSession(create_request(f"s-{number}"))

    writing = threading.Thread(target=write)
    writing.start()
    seen: list[int] = []
    while len(seen) < total:
        after = seen[-1] if seen else 0
        page = any_server.batch.GetBatchSessions(pb.GetBatchSessionsRequest(batch_id="batch-1", after_number=after))
        seen += [each.session_number for each in page.sessions]
        assert seen == list(range(1, len(seen) + 1))
    writing.join()


def test_r11_irrelevant_sessions_are_left_out_unless_asked_for(any_server: InProcessServer) -> None:
    """R11: pages and stream skip irrelevant sessions, and show them marked when asked to."""
    any_server.dao.sessions.append(session_drafts(5))
    for session_id in ("s-1", "s-2", "s-5"):
        any_server.dao.sessions.mark_irrelevant(session_id, NOW)
    assert [ids(page) for page in pages(any_server, page_size=2)] == [["s-3", "s-4"], []]
    assert streamed(any_server) == ["s-3", "s-4"]
    everything = pages(any_server, page_size=5, include_irrelevant=True)[0]
    assert [each.irrelevant for each in everything.sessions] == [True, True, False, False, True]
    assert len(streamed(any_server, include_irrelevant=True)) == 5


def test_r11_a_page_costs_two_reads_whatever_its_size(server: InProcessServer, monkeypatch) -> None:
    """R11: sessions and events are read once each per page, never per session."""
    server.dao.sessions.append(session_drafts(50))
    server.dao.events.append([push(f"s-{number}", "e-1") for number in range(1, 51)])
    reads: list[str] = []
    for part, name in ((server.dao.sessions, "page"), (server.dao.events, "of_sessions")):
        original = getattr(part, name)
        monkeypatch.setattr(part, name, lambda *a, _n=name, _o=original, **k: (reads.append(_n), _o(*a, **k))[1])
    assert len(pages(server, page_size=100)[0].sessions) == 50
    assert reads == ["page", "of_sessions"]


def test_r7_pages_are_bounded_in_bytes(server: InProcessServer, monkeypatch) -> None:
    """R7, R9: a page ends before it is too large, has a token for the next one, and has at least one session."""
    server.dao.sessions.append(session_drafts(4))
    size = len(session_draft("s-1").payload)
    monkeypatch.setattr(limits, "PAGE_BYTES", 3 * size - 1)
    assert [len(page.sessions) for page in pages(server)] == [2, 2]
    monkeypatch.setattr(limits, "PAGE_BYTES", 1)
    assert [len(page.sessions) for page in pages(server)] == [1, 1, 1, 1]
    assert len(streamed(server)) == 4


@pytest.mark.parametrize(
    ("request_fields", "listed"),
    [({}, 4), ({"events_limit": 0}, 0), ({"events_limit": 2}, 2), ({"events_limit": 2**31 - 1}, 4)],
)
def test_r11_a_reader_chooses_how_many_events_it_wants(
    any_server: InProcessServer, request_fields: dict[str, int], listed: int
) -> None:
    """R11: pages and streams list the first events by id up to the request's limit, and count the others."""
    any_server.dao.sessions.append(session_drafts(2))
    any_server.dao.events.append([push("s-1", "e-1"), push("s-2", *(f"e-{number}" for number in range(4)))])
    [page] = pages(any_server, **request_fields)
    streamed = any_server.batch.StreamBatchSessions(pb.StreamBatchSessionsRequest(**request_fields))
    assert [each.stored_session for each in streamed] == list(page.sessions)
    second = page.sessions[1]
    assert [each.event_id for each in second.events] == [f"e-{number}" for number in range(listed)]
    assert (page.sessions[0].omitted_events, second.omitted_events) == (0 if listed else 1, 4 - listed)


def erase(server: InProcessServer, *session_ids: str) -> None:
    """Erases the content of sessions in the store."""
    for session_id in session_ids:
        if isinstance(server.dao, MemoryDao):
            server.dao.erase(session_id)
        else:
            server.dao.sessions._collection.update_one({"_id": session_id}, {"$unset": {"payload": "", "user_id": ""}})


def test_r9_readers_leave_erased_sessions_out(any_server: InProcessServer) -> None:
    """R9: pages and streams leave erased sessions out and continue after their numbers."""
    any_server.dao.sessions.append(session_drafts(7))
    any_server.dao.events.append([push("s-3", "e-1"), push("s-4", "e-1")])
    erase(any_server, "s-1", "s-4", "s-5", "s-6", "s-7")
    for include_irrelevant in (False, True):
        found = pages(any_server, page_size=2, include_irrelevant=include_irrelevant)
        assert [ids(page) for page in found] == [["s-2"], ["s-3"], [], []]
        assert [page.next_after_number for page in found] == [2, 4, 6, 7]
        assert streamed(any_server, include_irrelevant=include_irrelevant) == ["s-2", "s-3"]
    assert any_server.batch.GetBatch(pb.GetBatchRequest()).batch.session_count == 7


def test_r9_a_stream_continues_after_a_page_of_erased_sessions(server: InProcessServer, monkeypatch) -> None:
    """R9: pages of erased sessions only end neither the stream nor its reading ahead."""
    monkeypatch.setattr(limits, "DEFAULT_PAGE_SIZE", 2)
    server.dao.sessions.append(session_drafts(7))
    erase(server, "s-1", "s-2", "s-3", "s-4", "s-5")
    assert streamed(server) == ["s-6", "s-7"]


def test_r1_an_erased_session_keeps_its_place(any_server: InProcessServer) -> None:
    """R1: an erased session reads as erased, without content; a retry of it succeeds and stores nothing."""
    created = any_server.clickstream.CreateSession(create_request("s-1", user_id="u"))
    any_server.clickstream.PushEvents(push_request("s-1", event("e-1")))
    erase(any_server, "s-1")
    expected = session_pb2.StoredSession(batch_id="batch-1", session_number=1, erased=True)
    read = any_server.clickstream.GetSession(clickstream_pb.GetSessionRequest(session_id="s-1"))
    assert read.stored_session == expected
    again = any_server.clickstream.CreateSession(create_request("s-1", user_id="u"))
    created.created = False
    assert again == created
    mark = clickstream_pb.MarkSessionIrrelevantRequest(session_id="s-1")
    assert any_server.clickstream.MarkSessionIrrelevant(mark).stored_session.erased
    restore = clickstream_pb.RestoreSessionRequest(session_id="s-1")
    assert any_server.clickstream.RestoreSession(restore).stored_session == expected
    use = improvement_pb.UseSessionForImprovementRequest(session_id="s-1")
    assert reason(refused(any_server.improvement.UseSessionForImprovement, use)) == "SESSION_EVENTLESS"


def test_r13_r14_inputs_leave_erased_sessions_out(any_server: InProcessServer) -> None:
    """R13, R14: an erased session gives no input, not even from a page frozen before, and is counted."""
    any_server.dao.sessions.append(session_drafts(3))
    any_server.dao.events.append([push(f"s-{number}", "e-1") for number in (1, 2, 3)])
    any_server.batch.ReleaseBatch(release_request())
    request = training_pb.StreamTrainingInputsRequest(batch_id="batch-1")
    *before, _ = any_server.training.StreamTrainingInputs(request)
    erase(any_server, "s-2")
    *after, last = any_server.training.StreamTrainingInputs(request)
    assert after == [before[0], before[2]]
    assert (last.summary.session_count, dict(last.summary.skipped_sessions)) == (3, {"erased": 1})


def test_r21_a_stream_reads_no_further_than_its_client(server: InProcessServer, monkeypatch) -> None:
    """R21: the server reads no further ahead than its client takes, and stops reading once the client cancels."""
    monkeypatch.setattr(limits, "DEFAULT_PAGE_SIZE", 1)
    sessions = 60
    large = struct(text="x" * 16_000)
    drafts = [session_draft(f"s-{number}", objects=map(str, range(30)), meta=large) for number in range(sessions)]
    server.dao.sessions.append(drafts)
    ended, read = threading.Event(), []
    original = BatchReader.pages

    async def watched(self: BatchReader, after: int) -> AsyncIterator[Page]:
        try:
            async for page in original(self, after):
                read.append(page.last)
                yield page
        finally:
            ended.set()

    monkeypatch.setattr(BatchReader, "pages", watched)
    stream = server.batch.StreamBatchSessions(pb.StreamBatchSessionsRequest())
    assert next(stream).stored_session.session_number == 1
    stream.cancel()
    assert ended.wait(PATIENCE)
    assert len(read) < sessions / 2


def test_r7_pages_of_huge_sessions_stay_below_four_mebibytes(mongo_server: InProcessServer) -> None:
    """R7: sessions of the largest size, each with a megabyte of events, fit the default limits of a client."""
    meta = struct(text="x" * 16_000)
    for session_id in ("s-1", "s-2"):
        request = create_request(session_id, objects=[f"o-{number}" for number in range(60)])
        for result in request.session.results:
            result.meta.CopyFrom(meta)
        mongo_server.clickstream.CreateSession(request)
        for half in range(2):
            events = [event(f"e-{half}-{number}", meta=meta) for number in range(50)]
            mongo_server.clickstream.PushEvents(push_request(session_id, *events))
    found = pages(mongo_server)
    assert [ids(page) for page in found] == [["s-1"], ["s-2"]]
    assert all(page.ByteSize() < 4 * 2**20 for page in found)
    assert all(len(page.sessions[0].events) + page.sessions[0].omitted_events == 100 for page in found)
    assert len(streamed(mongo_server)) == 2


@pytest.mark.parametrize(
    ("request_fields", "field"),
    [
        ({"page_size": -1}, "page_size"),
        ({"after_number": -1, "batch_id": "batch-1"}, "after_number"),
        ({"after_number": 5}, "batch_id"),
        ({"after_number": 2**60, "batch_id": "batch-1"}, "after_number"),
        ({"events_limit": -1}, "events_limit"),
    ],
)
def test_r7_a_bad_page_request_names_its_field(server: InProcessServer, request_fields, field: str) -> None:
    """R7: negative sizes and numbers, and a number without its batch, are refused."""
    error = refused(server.batch.GetBatchSessions, pb.GetBatchSessionsRequest(**request_fields))
    assert (error.code(), fields(error)) == (StatusCode.INVALID_ARGUMENT, [field])
    if "page_size" not in request_fields:
        error = refused(server.batch.StreamBatchSessions, pb.StreamBatchSessionsRequest(**request_fields))
        assert fields(error) == [field]


def test_r7_a_page_size_beyond_the_limit_is_the_limit(server: InProcessServer, monkeypatch) -> None:
    """R7: 0 means the default, and more than the largest page means the largest page."""
    monkeypatch.setattr(limits, "PAGE_SIZE", 3)
    monkeypatch.setattr(limits, "DEFAULT_PAGE_SIZE", 2)
    server.dao.sessions.append(session_drafts(5))
    assert len(pages(server)[0].sessions) == 2
    assert len(pages(server, page_size=2**31 - 1)[0].sessions) == 3


def test_r9_a_page_token_is_valid_for_its_own_request_only(server: InProcessServer) -> None:
    """R9: a page token of another batch or another filter, or together with a number, is refused."""
    server.dao.sessions.append(session_drafts(3))
    token = pages(server, page_size=1)[0].next_page_token
    for other in (
        {"batch_id": "batch-2"},
        {"include_irrelevant": True},
        {"batch_id": "nonsense"},
    ):
        error = refused(server.batch.GetBatchSessions, pb.GetBatchSessionsRequest(page_token=token, **other))
        assert reason(error) == "INVALID_PAGE_TOKEN"
    both = pb.GetBatchSessionsRequest(page_token=token, after_number=1, batch_id="batch-1")
    assert fields(refused(server.batch.GetBatchSessions, both)) == ["page_token"]
