"""Lineage through a real channel: from a version to its inputs, and from a session to its runs (R12, R14)."""

from dataclasses import replace

import pytest
from embedding_studio.clickstream.v1 import model_service_pb2 as pb
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from support.builders import NOW, SECOND, model_version, push, session_draft, session_drafts, training_run
from support.made_up import queue
from support.model_calls import finish
from support.servers import InProcessServer, fields, reason, refused

from clickstream.domain.analytics import day_of
from clickstream.domain.robots import RobotVerdict
from clickstream.domain.runs import RunState
from clickstream.domain.training_inputs import ConversionSummary


@pytest.fixture
def improved(any_server: InProcessServer, few_queries_do: None) -> InProcessServer:
    """A server over either store, with a model that was trained on the second, third and fourth of five sessions."""
    dao = any_server.dao
    for batch, prefix in ((1, "a"), (2, "b")):
        dao.sessions.append(session_drafts(3, prefix))
        dao.events.append([push(f"{prefix}-{number}", "e-1") for number in (1, 2, 3)])
        if batch == 1:
            dao.batches.release("r-1", None, NOW)
    for session_id in ("b-1", "a-3", "a-2"):
        dao.improvement.queue(dao.sessions.get(session_id), NOW)
    improvement = queue(dao, any_server._clock)
    improvement.run_once()
    run = dao.runs.claim("me", NOW, NOW + 60 * SECOND)
    assert len(list(improvement.pages(run, improvement._inputs.new_summary(0)))) == 3
    version = replace(model_version(run.run_id), batch_ids=("batch-1", "batch-2"))
    assert dao.runs.finish(run.run_id, "me", RunState.SUCCEEDED, "well", version, NOW)
    improvement.settle(run.run_id)
    dao.events.append([push("b-1", "late")])
    return any_server


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


def test_r12_a_version_leads_back_to_its_inputs_and_events(model_server: InProcessServer) -> None:
    """R12: from any point on, a version leads to its batches, sessions and the events behind the grades."""
    dao = model_server.dao
    for batch in (1, 2):
        dao.sessions.append(session_drafts(3, f"b{batch}"))
        dao.events.append([push(f"b{batch}-1", "e-1", "e-2"), push(f"b{batch}-3", "e-3")])
        dao.batches.release(f"r-{batch}", None, NOW)
    model = finish(model_server, "run-1", batch_ids=("batch-1", "batch-2"))
    stream = model_server.model.StreamModelLineage
    first, *inputs = stream(pb.StreamModelLineageRequest(model_version_id=model))
    assert (first.origin.model_version.run_id, first.origin.policy_version) == ("run-1", "test-1")
    found = [(each.input.batch_id, each.input.session_number, each.input.session_id) for each in inputs]
    assert found == [(f"batch-{batch}", number, f"b{batch}-{number}") for batch in (1, 2) for number in (1, 3)]
    assert [list(each.input.event_ids) for each in inputs[:2]] == [["e-1", "e-2"], ["e-3"]]
    asked = pb.StreamModelLineageRequest(model_version_id=model, batch_id="batch-1", after_number=1)
    assert list(stream(asked))[1:] == inputs[1:]
    asked = pb.StreamModelLineageRequest(model_version_id=model, batch_id="batch-9")
    assert fields(refused(stream, asked)) == ["batch_id"]


def test_r14_a_session_leads_forward_to_its_versions(model_server: InProcessServer) -> None:
    """R14: a session leads to its input, runs and versions; reading before any training freezes no event."""
    dao = model_server.dao
    dao.sessions.append(session_drafts(2))
    dao.events.append([push("s-1", "e-1")])
    dao.batches.release("r-1", None, NOW)
    asked = pb.GetSessionLineageRequest(session_id="s-1", page_size=1)
    before = model_server.model.GetSessionLineage(asked)
    assert (before.batch_id, before.session_number, before.HasField("input"), len(before.runs)) == (
        "batch-1",
        1,
        False,
        0,
    )
    dao.events.append([push("s-1", "e-2")])
    finish(model_server, "run-1")
    dao.runs.create(training_run("run-2", at=NOW + SECOND))
    page = model_server.model.GetSessionLineage(asked)
    assert [(run.run_id, run.state, run.model_version_id) for run in page.runs] == [
        ("run-2", runs_pb.TRAINING_RUN_STATE_QUEUED, "")
    ]
    asked.page_token = page.next_page_token
    page = model_server.model.GetSessionLineage(asked)
    assert [(run.run_id, run.model_version_id) for run in page.runs] == [("run-1", "model-run-1")]
    assert list(page.input.event_ids) == ["e-1", "e-2"]
    skipped = model_server.model.GetSessionLineage(pb.GetSessionLineageRequest(session_id="s-2"))
    assert (skipped.session_number, skipped.HasField("input"), len(skipped.runs)) == (2, False, 2)
    error = refused(model_server.model.GetSessionLineage, pb.GetSessionLineageRequest(session_id="x"))
    assert reason(error) == "SESSION_NOT_FOUND"


def test_r27_lineage_applies_the_verdicts_of_the_run(model_server: InProcessServer) -> None:
    """R27: a version leads back to what its run trained on, whatever was judged later; a run names its number."""
    dao = model_server.dao
    dao.sessions.append([session_draft("s-1", user_id="crawler"), session_draft("s-2", user_id="ann")])
    dao.events.append([push("s-1", "e-1"), push("s-2", "e-1")])
    dao.batches.release("r-1", None, NOW)
    dao.robots.append([RobotVerdict("crawler", day_of(NOW), True, "policy", NOW)], 0)
    dao.runs.create(replace(training_run("run-1"), robot_verdict_number=1))
    dao.runs.claim("me", NOW, NOW + 60 * SECOND)
    dao.runs.set_conversion("run-1", "me", ConversionSummary("test-1", 1))
    version = replace(model_version("run-1"), batch_ids=("batch-1",))
    assert dao.runs.finish("run-1", "me", RunState.SUCCEEDED, "well", version, NOW)
    dao.robots.order(RobotVerdict("crawler", day_of(NOW), False, "ann", NOW, request_id="o-1"))
    asked = pb.StreamModelLineageRequest(model_version_id=version.model_version_id)
    first, *found = model_server.model.StreamModelLineage(asked)
    assert first.origin.robot_verdict_number == 1
    assert [each.input.session_id for each in found] == ["s-2"]
    for session_id, trained in (("s-1", False), ("s-2", True)):
        lineage = model_server.model.GetSessionLineage(pb.GetSessionLineageRequest(session_id=session_id))
        assert (lineage.HasField("input"), lineage.runs[0].robot_verdict_number) == (trained, 1)
    assert dao.runs.get("run-1").conversion.robot_verdict_number == 1
