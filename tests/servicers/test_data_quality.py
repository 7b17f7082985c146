"""Data quality, counts of refusals and the progress of batches through a channel."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from embedding_studio.clickstream.v1 import analytics_service_pb2 as pb
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as clickstream
from embedding_studio.clickstream.v1 import data_quality_pb2, improvement_service_pb2
from support.builders import create_request, event, push_request, release_request
from support.memory_store import MemoryDao
from support.rollup_making import make_all
from support.servers import POLICY, Clock, InProcessServer, fields, reason

from clickstream.analytics.frame_rules import FrameRules
from clickstream.analytics.rollups import RollUps
from clickstream.domain.analytics import Segments


@pytest.fixture
def server(memory_dao: MemoryDao, clock: Clock) -> Iterator[InProcessServer]:
    """A server with a released batch of 30 sessions, of which every second has a click on an object never shown."""
    with InProcessServer(memory_dao, clock) as server:
        for number in range(30):
            server.clickstream.CreateSession(create_request(f"s-{number}", client={"name": "web"}, user_id="u"))
            if number % 2:
                server.clickstream.PushEvents(push_request(f"s-{number}", event("e-1", "elsewhere")))
            else:
                server.clickstream.PushEvents(push_request(f"s-{number}", event("e-1", type="odd")))
        server.batch.ReleaseBatch(release_request())
        make_all(RollUps(memory_dao, FrameRules(POLICY, Segments(("locale",), ("brand",)), "{title}")), memory_dao)
        clock.forward(60)
        yield server


def quality(server: InProcessServer, **values: Any) -> pb.GetDataQualityResponse:
    """The checks."""
    return server.analytics.GetDataQuality(pb.GetDataQualityRequest(**values))


def test_a_check_says_what_is_wrong_and_what_to_do(server: InProcessServer) -> None:
    """A bad check has its counts and interval, its marks, examples and advice; a good one has no advice."""
    answer = quality(server, group_by="client")
    checks = {each.id: each for each in answer.checks}
    unshown = checks["unshown_events"]
    assert (unshown.rate.numerator, unshown.rate.denominator) == (15, 30)
    assert 0.05 < unshown.rate.lower < 0.5 < unshown.rate.upper
    assert (unshown.mark, unshown.warn_mark, unshown.fail_mark) == (data_quality_pb2.QUALITY_MARK_FAIL, 0.01, 0.05)
    assert list(unshown.example_ids) == ["s-1", "s-3", "s-5", "s-7", "s-9"]
    assert "register every shown result" in unshown.advice
    assert checks["searches_without_user"].mark == data_quality_pb2.QUALITY_MARK_OK
    assert checks["searches_without_user"].advice == ""
    assert checks["payload_searches"].mark == data_quality_pb2.QUALITY_MARK_SHOWN
    assert checks["purchases_alone"].mark == data_quality_pb2.QUALITY_MARK_UNSPECIFIED
    assert not checks["purchases_alone"].HasField("rate")
    assert [(each.type, each.count) for each in answer.unnamed_types] == [("odd", 15)]
    [group] = answer.groups
    assert (group.value, group.searches) == ("web", 30)
    assert {each.id: each.rate for each in group.checks}["unshown_events"] == unshown.rate
    steps = {each.name: each for each in answer.steps}
    assert (steps["stored"].is_reached, steps["measurable"].is_reached, steps["judgeable"].is_reached) == (
        True,
        False,
        False,
    )
    assert any(each.startswith("unshown_events: ") for each in steps["measurable"].missing)


def test_a_batch_is_checked_by_its_id(server: InProcessServer) -> None:
    """A batch has the checks that only a batch has; an empty one has nothing to measure, and no batch is not found."""
    checks = {each.id: each for each in quality(server, batch_id="batch-1").checks}
    assert (checks["swapped_pairs"].rate.numerator, checks["swapped_pairs"].rate.denominator) == (0, 3)
    assert checks["position_groups"].value == 3
    assert checks["searches_without_query"].rate.denominator == 30
    assert "conflicts" not in checks
    server.clickstream.CreateSession(create_request("later"))
    with pytest.raises(grpc.RpcError) as error:
        quality(server, batch_id="batch-9")
    assert reason(error.value) == "BATCH_NOT_FOUND"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"group_by": "user"}, "group_by"),
        ({"batch_id": "batch-1", "window": {"time_zone": "UTC"}}, "window"),
        ({"window": {"time_zone": "Nowhere"}}, "window.time_zone"),
        ({"batch_id": "b" * 257}, "batch_id"),
    ],
)
def test_bad_questions_are_refused_by_their_field(server: InProcessServer, values: dict[str, Any], field: str) -> None:
    """INVALID_ARGUMENT names the field."""
    with pytest.raises(grpc.RpcError) as error:
        quality(server, **values)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(error.value) == [field]


def test_refusals_are_counted_by_reason_and_client(server: InProcessServer) -> None:
    """Whole calls, single events and messages of a stream are counted once flushed; good ones are not."""
    for _ in range(2):
        with pytest.raises(grpc.RpcError):
            server.clickstream.CreateSession(create_request("", client={"name": "app"}))
    with pytest.raises(grpc.RpcError):
        server.clickstream.CreateSession(create_request("s-1", query="other", client={"name": "app"}))
    with pytest.raises(grpc.RpcError):
        server.clickstream.PushEvents(push_request("nobody", event("e-1"), event("e-2")))
    mixed = push_request("s-1", event("e-1", "a"), event("e-2", ""), event("e-3", "a"))
    server.clickstream.PushEvents(mixed)
    messages = [
        clickstream.IngestRequest(sequence=1, session=create_request("", client={"name": "app"}).session),
        clickstream.IngestRequest(
            sequence=2, events=clickstream.EventList(session_id="s-1", events=[event("e-1", "b"), event("e-9", "")])
        ),
    ]
    list(server.clickstream.Ingest(iter(messages)))
    assert list(quality(server).refusals) == []
    server.run(server.refusals.flush())
    assert {(each.reason, each.client): each.count for each in quality(server).refusals} == {
        ("INVALID_FIELD", "app"): 3,
        ("CONTENT_CONFLICT", "app"): 1,
        ("SESSION_NOT_FOUND", ""): 2,
        ("CONTENT_CONFLICT", ""): 2,
        ("INVALID_FIELD", ""): 2,
    }
    checks = {each.id: each for each in quality(server).checks}
    assert (checks["conflicts"].rate.numerator, checks["conflicts"].is_approximate) == (3, True)


def test_refusals_wait_for_a_store_that_does_not_answer(server: InProcessServer, memory_dao: MemoryDao) -> None:
    """What could not be added is added the next time, once."""
    with pytest.raises(grpc.RpcError):
        server.clickstream.CreateSession(create_request("", client={"name": "app"}))
    memory_dao.down = True
    server.run(server.refusals.flush())
    memory_dao.down = False
    for _ in range(2):
        server.run(server.refusals.flush())
    assert [each.count for each in quality(server).refusals] == [1]


def test_batches_show_what_became_of_them(server: InProcessServer) -> None:
    """The newest batch comes first, with its sessions, skips and runs, and the queue's waiting sessions beside them."""
    server.clickstream.CreateSession(create_request("later"))
    server.clickstream.PushEvents(push_request("later", event()))
    server.improvement.UseSessionForImprovement(
        improvement_service_pb2.UseSessionForImprovementRequest(session_id="later")
    )
    make_all(
        RollUps(server.dao, FrameRules(POLICY, Segments(("locale",), ("brand",)), "{title}")), server.dao, days=False
    )
    answer = server.analytics.GetBatchProgress(pb.GetBatchProgressRequest())
    second, first = answer.batches
    assert (second.batch.batch_id, second.convertible_sessions) == ("batch-2", 1)
    assert (first.batch.session_count, first.convertible_sessions) == (30, 15)
    assert dict(first.skipped_sessions) == {"only_unshown_events": 15}
    assert sum(first.sessions_by_day.values()) == 30
    assert answer.pending_tasks == 1
    assert answer.HasField("oldest_pending_task_queued_at")
    page = server.analytics.GetBatchProgress(pb.GetBatchProgressRequest(page_size=1))
    rest = server.analytics.GetBatchProgress(pb.GetBatchProgressRequest(page_size=1, page_token=page.next_page_token))
    assert [each.batch.batch_id for each in (*page.batches, *rest.batches)] == ["batch-2", "batch-1"]
    one = server.analytics.GetBatchProgress(pb.GetBatchProgressRequest(batch_id="batch-1"))
    assert list(one.batches) == [first]
    with pytest.raises(grpc.RpcError) as error:
        server.analytics.GetBatchProgress(pb.GetBatchProgressRequest(batch_id="batch-9"))
    assert reason(error.value) == "BATCH_NOT_FOUND"
