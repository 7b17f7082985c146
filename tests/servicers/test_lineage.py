"""Lineage of runs of the improvement queue: single sessions, of batches that may still collect (R12, R14)."""

from dataclasses import replace

import pytest
from embedding_studio.clickstream.v1 import model_service_pb2 as pb
from support.builders import NOW, SECOND, model_version, push, session_drafts
from support.made_up import queue
from support.servers import InProcessServer

from clickstream.domain.runs import RunState

pytestmark = pytest.mark.usefixtures("few_queries_do")


@pytest.fixture(params=["server", "mongo_server"])
def improved(request: pytest.FixtureRequest) -> InProcessServer:
    """A server over either store, with a model that was trained on the second, third and fourth of five sessions."""
    server: InProcessServer = request.getfixturevalue(request.param)
    dao = server.dao
    for batch, prefix in ((1, "a"), (2, "b")):
        dao.sessions.append(session_drafts(3, prefix))
        dao.events.append([push(f"{prefix}-{number}", "e-1") for number in (1, 2, 3)])
        if batch == 1:
            dao.batches.release("r-1", None, NOW)
    for session_id in ("b-1", "a-3", "a-2"):
        dao.improvement.queue(dao.sessions.get(session_id), NOW)
    improvement = queue(dao, server._clock)
    improvement.run_once()
    run = dao.runs.claim("me", NOW, NOW + 60 * SECOND)
    assert len(list(improvement.pages(run, improvement._inputs.new_summary()))) == 3
    version = replace(model_version(run.run_id), batch_ids=("batch-1", "batch-2"))
    assert dao.runs.finish(run.run_id, "me", RunState.SUCCEEDED, "well", version, NOW)
    improvement.settle(run.run_id)
    dao.events.append([push("b-1", "late")])
    return server


def inputs(server: InProcessServer, **where: object) -> list[tuple[str, list[str]]]:
    """The sessions of the model, with their events."""
    [version] = server.dao.runs.model_versions(None, 9, gate_passed_only=False)
    asked = pb.StreamModelLineageRequest(model_version_id=version.model_version_id, **where)
    _, *found = server.model.StreamModelLineage(asked)
    return [(each.input.session_id, list(each.input.event_ids)) for each in found]


def test_r12_a_version_of_the_queue_leads_back_to_its_own_sessions(improved: InProcessServer) -> None:
    """R12: from any point on, the inputs are the sessions of the run with the events that it used, in order."""
    found = [("a-2", ["e-1"]), ("a-3", ["e-1"]), ("b-1", ["e-1"])]
    assert inputs(improved) == found
    assert inputs(improved, batch_id="batch-1", after_number=2) == found[1:]
    assert inputs(improved, batch_id="batch-2") == found[2:]


def test_r14_reading_lineage_freezes_nothing_of_a_collecting_batch(improved: InProcessServer) -> None:
    """R14: reading the lineage over a collecting batch does not freeze which of its events count."""
    inputs(improved)
    improved.dao.batches.release("r-2", None, NOW)
    events, _ = improved.dao.events.frozen(2, 1, 3)
    assert [event.event_id for event in events[1].events] == ["e-1", "late"]


def test_r14_a_session_leads_forward_to_its_run_of_the_queue(improved: InProcessServer) -> None:
    """R14: a queued session names its run and version; another session names none."""
    lineage = improved.model.GetSessionLineage(pb.GetSessionLineageRequest(session_id="b-1"))
    [version] = improved.dao.runs.model_versions(None, 9, gate_passed_only=False)
    assert (lineage.improvement.run_id, lineage.improvement.model_version_id) == (
        version.run_id,
        version.model_version_id,
    )
    assert not lineage.runs
    lineage = improved.model.GetSessionLineage(pb.GetSessionLineageRequest(session_id="b-2"))
    assert not lineage.HasField("improvement")
