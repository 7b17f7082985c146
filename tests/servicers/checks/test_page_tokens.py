"""Pages and page tokens of the listing methods."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from embedding_studio.clickstream.v1 import batch_service_pb2 as batch_pb
from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb
from embedding_studio.clickstream.v1 import model_service_pb2 as model_pb
from embedding_studio.clickstream.v1 import training_service_pb2 as training_pb
from support.builders import NOW, SECOND, model_version, push, session_drafts, training_run
from support.memory_store import MemoryDao
from support.servers import InProcessServer

from clickstream.contract.batches import batch_message
from clickstream.domain import limits
from clickstream.domain.batches import Batch, BatchStatus
from clickstream.domain.promotions import PromotionOrder
from clickstream.domain.runs import RunState
from clickstream.servicers.checks import page_tokens

COUNT = 4


def test_r7_a_page_is_bounded_in_bytes_and_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """R7: a page has the first rows that fit one message, and at least one row."""
    batches = [Batch(sequence, BatchStatus.RELEASED, 5, release_id="r" * 100) for sequence in range(9, 0, -1)]
    size = batch_message(batches[0]).ByteSize()
    of_three = [(3 * size, 10, 3, True), (3 * size - 1, 10, 2, True), (1, 10, 1, True)]
    of_all = [(9 * size, 9, 9, True), (9 * size, 10, 9, False)]
    for room, page_size, count, more in of_three + of_all:
        monkeypatch.setattr(limits, "PAGE_BYTES", room)
        page, last = page_tokens.cut_page(batches, batch_message, page_size)
        assert [each.batch_id for each in page] == [f"batch-{9 - at}" for at in range(count)]
        assert last == (batches[count - 1] if more else None)
    assert page_tokens.cut_page([], batch_message, 10) == ([], None)


def test_r7_a_page_token_keeps_its_row_exactly() -> None:
    """R7: a page token keeps every millisecond: an earlier or later time would lose or repeat rows."""
    for millisecond in range(1_000):
        at = NOW + timedelta(milliseconds=millisecond)
        token = page_tokens.encode_position("List", at, "row", ())
        assert page_tokens.decode_position(token, "List", ()) == (at, "row")


def fill(dao: MemoryDao) -> None:
    """As many released batches, succeeded runs with their promoted versions, and tasks of the queue."""
    dao.sessions.append(session_drafts(COUNT))
    dao.events.append([push(f"s-{number}", "e-1") for number in range(1, COUNT + 1)])
    for number in range(1, COUNT + 1):
        at, run_id = NOW + number * SECOND, f"run-{number}"
        dao.improvement.queue(dao.sessions.get(f"s-{number}"), at)
        dao.runs.create(training_run(run_id, at=at))
        dao.runs.claim("me", at, at + SECOND)
        version = replace(model_version(run_id), created_at=at)
        dao.runs.finish(run_id, "me", RunState.SUCCEEDED, "", version, at)
        dao.promotions.append(PromotionOrder(f"p-{number}", version.model_version_id), at)
        dao.batches.release(f"r-{number}", None, at)
        dao.sessions.append(session_drafts(1, f"more-{number}"))


LISTINGS = {
    "batches": (lambda server: server.batch.ListBatches, batch_pb.ListBatchesRequest, "batches"),
    "runs": (lambda server: server.training.ListTrainingRuns, training_pb.ListTrainingRunsRequest, "runs"),
    "versions": (lambda server: server.model.ListModelVersions, model_pb.ListModelVersionsRequest, "model_versions"),
    "promotions": (lambda server: server.model.ListPromotions, model_pb.ListPromotionsRequest, "promotions"),
    "tasks": (
        lambda server: server.improvement.ListImprovementTasks,
        improvement_pb.ListImprovementTasksRequest,
        "tasks",
    ),
}


@pytest.mark.parametrize("listing", LISTINGS)
def test_r7_pages_that_end_early_skip_and_repeat_nothing(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch, listing: str
) -> None:
    """R7: rows that do not fit one page come on the next pages, in the same order."""
    fill(server.dao)
    method, request, field = LISTINGS[listing]

    def listed(room: int) -> tuple[list[Any], int]:
        monkeypatch.setattr(limits, "PAGE_BYTES", room)
        found, pages, token = [], 0, ""
        while not pages or token:
            answer = method(server)(request(page_token=token))
            found += getattr(answer, field)
            pages, token = pages + 1, answer.next_page_token
        return found, pages

    everything, pages = listed(2**20)
    assert (len(everything), pages) == (COUNT + (listing == "batches"), 1)
    assert listed(1) == (everything, len(everything))
