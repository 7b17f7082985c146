"""BatchService through a real channel: releases and listings (R8, R10)."""

import pytest
from embedding_studio.clickstream.v1 import batch_service_pb2 as pb
from grpc import StatusCode
from support.builders import (
    NOW,
    create_request,
    release_request,
    session_draft,
    session_drafts,
)
from support.servers import InProcessServer, fields, reason, refused

from clickstream.domain import limits
from clickstream.domain.batches import BatchStatus


@pytest.mark.parametrize("batch_id", ["batch-2", "batch-0", "batch-", "batch-01", "nonsense", "batch-9999999999", "é"])
def test_an_unknown_batch_is_not_found(server: InProcessServer, batch_id: str) -> None:
    """R10: for any name of a batch that does not exist, every call is NOT_FOUND."""
    server.dao.sessions.append(session_drafts(1))
    for call, request in [
        (server.batch.GetBatch, pb.GetBatchRequest(batch_id=batch_id)),
        (server.batch.GetBatchSessions, pb.GetBatchSessionsRequest(batch_id=batch_id)),
        (server.batch.StreamBatchSessions, pb.StreamBatchSessionsRequest(batch_id=batch_id)),
        (server.batch.ReleaseBatch, release_request("r-1", batch_id)),
    ]:
        error = refused(call, request)
        assert (error.code(), reason(error)) == (StatusCode.NOT_FOUND, "BATCH_NOT_FOUND")


def test_r10_a_release_closes_the_batch_once(any_server: InProcessServer) -> None:
    """R10: a retried release answers the same; later sessions go elsewhere; another release is refused."""
    any_server.clickstream.CreateSession(create_request("s-1"))
    released = any_server.batch.ReleaseBatch(release_request("r-1")).batch
    assert (released.batch_id, released.status, released.session_count) == ("batch-1", pb.BATCH_STATUS_RELEASED, 1)
    assert (released.release_id, released.released_at.ToDatetime(tzinfo=NOW.tzinfo)) == ("r-1", NOW)
    assert any_server.clickstream.CreateSession(create_request("s-2")).batch_id == "batch-2"
    assert any_server.batch.ReleaseBatch(release_request("r-1")).batch == released
    assert any_server.batch.ReleaseBatch(release_request("r-1", "batch-1")).batch == released
    stream = any_server.batch.StreamBatchSessions(pb.StreamBatchSessionsRequest(batch_id="batch-1"))
    assert [each.stored_session.session.session_id for each in stream] == ["s-1"]
    again = refused(any_server.batch.ReleaseBatch, release_request("r-2", "batch-1"))
    assert (again.code(), reason(again)) == (StatusCode.FAILED_PRECONDITION, "BATCH_ALREADY_RELEASED")
    taken = refused(any_server.batch.ReleaseBatch, release_request("r-1", "batch-2"))
    assert (taken.code(), reason(taken)) == (StatusCode.ALREADY_EXISTS, "CONTENT_CONFLICT")
    assert any_server.batch.GetBatch(pb.GetBatchRequest()).batch.batch_id == "batch-2"
    assert any_server.batch.GetBatch(pb.GetBatchRequest(batch_id="batch-1")).batch == released


def test_r10_an_empty_batch_cannot_be_released(any_server: InProcessServer) -> None:
    """R10: releasing an empty batch is FAILED_PRECONDITION, and the release id can be used again."""
    error = refused(any_server.batch.ReleaseBatch, release_request("r-1"))
    assert (error.code(), reason(error)) == (StatusCode.FAILED_PRECONDITION, "BATCH_EMPTY")
    any_server.clickstream.CreateSession(create_request("s-1"))
    assert any_server.batch.ReleaseBatch(release_request("r-1")).batch.batch_id == "batch-1"


def test_r8_batches_are_listed_in_pages(server: InProcessServer) -> None:
    """R8: batches are listed newest first and by status; a page token of another filter is refused."""
    for number in range(4):
        server.dao.sessions.append([session_draft(f"s-{number}")])
        server.dao.batches.release(f"r-{number}", None, NOW)
    server.dao.batches.change_status(2, {BatchStatus.RELEASED}, BatchStatus.ARCHIVED, run_id="", reason="old", at=NOW)
    found, token = [], ""
    while True:
        answer = server.batch.ListBatches(pb.ListBatchesRequest(page_size=2, page_token=token))
        found += [each.batch_id for each in answer.batches]
        token = answer.next_page_token
        if not token:
            break
        first_token = token
    assert found == ["batch-5", "batch-4", "batch-3", "batch-2", "batch-1"]
    only = server.batch.ListBatches(pb.ListBatchesRequest(statuses=[pb.BATCH_STATUS_ARCHIVED])).batches
    assert [(each.batch_id, each.history[-1].reason) for each in only] == [("batch-2", "old")]
    other = pb.ListBatchesRequest(page_token=first_token, statuses=[pb.BATCH_STATUS_RELEASED])
    assert reason(refused(server.batch.ListBatches, other)) == "INVALID_PAGE_TOKEN"


def test_r7_a_page_of_batches_with_long_histories_fits_a_message(server: InProcessServer, monkeypatch) -> None:
    """R7, R8: a page of batches ends before it is too large, has a token for the next one, and skips no batch."""
    for number in range(5):
        server.dao.sessions.append([session_draft(f"s-{number}")])
        server.dao.batches.release(f"r-{number}", None, NOW)
    monkeypatch.setattr(limits, "PAGE_BYTES", 1)
    found, token = [], ""
    while not found or token:
        answer = server.batch.ListBatches(pb.ListBatchesRequest(page_token=token))
        assert len(answer.batches) == 1
        found += [each.batch_id for each in answer.batches]
        token = answer.next_page_token
    assert found == [f"batch-{number}" for number in range(6, 0, -1)]


@pytest.mark.parametrize("status", [0, 7, -1])
def test_r7_an_unknown_status_is_named(server: InProcessServer, status: int) -> None:
    """R7: a status that the contract does not know, and UNSPECIFIED, are refused as filters."""
    error = refused(server.batch.ListBatches, pb.ListBatchesRequest(statuses=[1, status]))
    assert (error.code(), fields(error)) == (StatusCode.INVALID_ARGUMENT, ["statuses[1]"])
