"""TrainingService through a real channel: inputs, and runs once they are queued (R10, R13, R14, R16)."""

import os
import subprocess
import sys
from dataclasses import replace

from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from embedding_studio.clickstream.v1 import training_service_pb2 as pb
from grpc import StatusCode
from support.builders import (
    NOW,
    SECOND,
    create_request,
    event,
    model_version,
    push,
    push_request,
    session_drafts,
    struct,
    training_run,
)
from support.servers import InProcessServer, reason, refused
from support.training_calls import release, start

from clickstream.domain.batches import BatchStatus
from clickstream.domain.runs import CurvePoint, Phase, RunState, TrainingProgress


def inputs(server: InProcessServer, after: int = 0) -> tuple[list[bytes], dict[str, int]]:
    """The encoded inputs, and the skipped sessions of the summary, which comes last."""
    request = pb.StreamTrainingInputsRequest(batch_id="batch-1", after_number=after)
    stream = server.channel.unary_stream(
        "/embedding_studio.clickstream.v1.TrainingService/StreamTrainingInputs",
        pb.StreamTrainingInputsRequest.SerializeToString,
        None,
    )
    *found, last = list(stream(request))
    return found, dict(pb.StreamTrainingInputsResponse.FromString(last).summary.skipped_sessions)


def test_r14_a_released_batch_streams_the_same_bytes_from_any_point(any_server: InProcessServer) -> None:
    """R13, R14: the inputs come in order with a summary last; a second and a resumed stream give the same bytes."""
    release(any_server)
    whole, skipped = inputs(any_server)
    assert [pb.StreamTrainingInputsResponse.FromString(each).input.session_id for each in whole] == ["s-1", "s-2"]
    assert skipped == {"no_events": 1}
    any_server.dao.events.append([push("s-3", "late")])
    any_server.dao.sessions.mark_irrelevant("s-1", NOW)
    assert inputs(any_server)[0] == whole
    assert inputs(any_server, after=1)[0] == whole[1:]
    assert inputs(any_server, after=99) == ([], {})


STREAM = """
import sys
from clickstream.contract.training_inputs import training_input_message
from clickstream.domain.training_inputs import GradedResult, TrainingInput
from clickstream.servicers.open_streams import same_bytes
from embedding_studio.clickstream.v1 import session_pb2
from clickstream.contract.training_inputs import training_input_message
from clickstream.domain.training_inputs import GradedResult, TrainingInput
from clickstream.servicers.open_streams import same_bytes
meta = session_pb2.Session.FromString(bytes.fromhex(sys.argv[1])).results[0].meta
message = training_input_message(TrainingInput("s", "b", 1, "q", (GradedResult("o", 0, 1.0, (), meta),), "v"))
print(same_bytes(message).hex())
"""


def test_r14_every_process_writes_the_same_bytes(server: InProcessServer) -> None:
    """R14: the free data of an input is encoded in one order by every process."""
    meta = struct(**{f"key-{number}": {f"inner-{number}": number, "x": 1, "y": 2} for number in range(12)})
    request = create_request("s-1")
    request.session.results[0].meta.CopyFrom(meta)
    server.clickstream.CreateSession(request)
    server.clickstream.PushEvents(push_request("s-1", event("e-1")))
    server.dao.batches.release("r-1", None, NOW)
    [ours], _ = inputs(server)
    found = pb.StreamTrainingInputsResponse.FromString(ours)
    assert found.SerializeToString(deterministic=True) == ours
    stored = server.dao.sessions.get("s-1").payload.hex()
    command = [sys.executable, "-c", STREAM, stored]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ) for _ in range(3)]
    assert len({process.communicate()[0] for process in processes}) == 1
    assert [process.returncode for process in processes] == [0, 0, 0]


def test_r10_inputs_of_a_collecting_or_unknown_batch_are_refused(server: InProcessServer) -> None:
    """R10: only a released batch is converted."""
    server.dao.sessions.append(session_drafts(1))
    for batch_id, code, why in [
        ("batch-1", StatusCode.FAILED_PRECONDITION, "BATCH_NOT_RELEASED"),
        ("batch-2", StatusCode.NOT_FOUND, "BATCH_NOT_FOUND"),
        ("nonsense", StatusCode.NOT_FOUND, "BATCH_NOT_FOUND"),
        ("", StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
    ]:
        error = refused(server.training.StreamTrainingInputs, pb.StreamTrainingInputsRequest(batch_id=batch_id))
        assert (error.code(), reason(error)) == (code, why)
        error = refused(server.training.StartTraining, start("run-1", batch_id))
        assert (error.code(), reason(error)) == (code, why)


def test_r16_runs_are_listed_in_pages_newest_first(any_server: InProcessServer, clock) -> None:
    """R16: runs are listed newest first and by state; a page token of another filter is refused."""
    release(any_server)
    for number in range(5):
        any_server.training.StartTraining(start(f"run-{number}"))
        clock.forward(number % 2)
    any_server.training.CancelTrainingRun(pb.CancelTrainingRunRequest(run_id="run-2"))
    found, token, tokens = [], "", []
    while not found or token:
        answer = any_server.training.ListTrainingRuns(pb.ListTrainingRunsRequest(page_size=2, page_token=token))
        found += [run.run_id for run in answer.runs]
        token = answer.next_page_token
        tokens.append(token)
    assert found == ["run-4", "run-3", "run-2", "run-1", "run-0"]
    canceled = pb.ListTrainingRunsRequest(states=[runs_pb.TRAINING_RUN_STATE_CANCELED])
    assert [run.run_id for run in any_server.training.ListTrainingRuns(canceled).runs] == ["run-2"]
    canceled.page_token = tokens[0]
    assert reason(refused(any_server.training.ListTrainingRuns, canceled)) == "INVALID_PAGE_TOKEN"


def test_r16_a_watcher_sees_every_state_and_ends_with_the_run(server: InProcessServer) -> None:
    """R16: a watch shows the run at once and after changes, with progress and model version, and then ends."""
    release(server)
    server.training.StartTraining(start())
    watch = server.training.WatchTrainingRun(pb.WatchTrainingRunRequest(run_id="run-1"))
    assert next(watch).run.state == runs_pb.TRAINING_RUN_STATE_QUEUED
    server.dao.runs.claim("me", NOW, NOW + 60 * SECOND)
    server.dao.runs.renew("run-1", "me", NOW + 60 * SECOND, TrainingProgress(Phase.TRAINING, step=3, step_count=9))
    running = next(watch).run
    assert (running.state, running.progress.step, running.attempts) == (
        runs_pb.TRAINING_RUN_STATE_RUNNING,
        3,
        1,
    )
    server.dao.runs.finish("run-1", "me", RunState.SUCCEEDED, "well", model_version(), NOW)
    ended = [answer.run for answer in watch]
    assert [run.state for run in ended] == [runs_pb.TRAINING_RUN_STATE_SUCCEEDED]
    assert (ended[0].reason, ended[0].model_version.evaluation.new.mrr_at_10) == ("well", 0.75)
    assert server.training.GetTrainingRun(pb.GetTrainingRunRequest(run_id="run-1")).run == ended[0]


def test_r16_the_curve_of_a_run_is_read_at_any_time(any_server: InProcessServer) -> None:
    """R16: a curve is empty before the first step, then has every stored point by step, also after the run's end."""
    release(any_server)
    any_server.training.StartTraining(start())
    request = pb.GetTrainingCurveRequest(run_id="run-1")
    assert not any_server.training.GetTrainingCurve(request).points
    any_server.dao.runs.claim("me", NOW, NOW + 60 * SECOND)
    points = (CurvePoint(0, NOW, metrics={"base_ndcg_at_10": 0.25}), CurvePoint(1, NOW + SECOND, 0.5, 1e-4))
    logged = TrainingProgress(Phase.TRAINING, step=1, step_count=9, points=points)
    any_server.dao.runs.renew("run-1", "me", NOW + 60 * SECOND, logged)
    any_server.dao.runs.finish("run-1", "me", RunState.FAILED, "ill", None, NOW)
    measured, trained = any_server.training.GetTrainingCurve(request).points
    assert (measured.step, measured.HasField("loss"), measured.metrics) == (0, False, {"base_ndcg_at_10": 0.25})
    assert (trained.step, trained.loss, trained.learning_rate) == (1, 0.5, 1e-4)
    assert trained.logged_at.ToDatetime(NOW.tzinfo) == NOW + SECOND
    run = any_server.training.GetTrainingRun(pb.GetTrainingRunRequest(run_id="run-1")).run
    assert run.progress.step == 1


def test_r16_a_run_is_canceled_once_and_not_after_its_end(any_server: InProcessServer) -> None:
    """R16: canceling is idempotent and wakes the worker; a run that ended otherwise is STATE_CONFLICT."""
    release(any_server)
    any_server.training.StartTraining(start("run-1"))
    assert any_server.woken == 1
    cancel = pb.CancelTrainingRunRequest(run_id="run-1")
    runs = [any_server.training.CancelTrainingRun(cancel).run for _ in range(2)]
    assert any_server.woken == 3
    assert runs[0] == runs[1]
    assert runs[0].state == runs_pb.TRAINING_RUN_STATE_CANCELED
    any_server.training.StartTraining(start("run-2"))
    any_server.dao.runs.claim("me", NOW, NOW + SECOND)
    any_server.dao.runs.finish("run-2", "me", RunState.FAILED, "no items", None, NOW)
    error = refused(any_server.training.CancelTrainingRun, pb.CancelTrainingRunRequest(run_id="run-2"))
    assert (error.code(), reason(error)) == (StatusCode.FAILED_PRECONDITION, "STATE_CONFLICT")


def test_r16_a_run_that_waits_is_canceled_at_once_and_frees_its_batches(any_server: InProcessServer) -> None:
    """R10, R16: a run that waits for its trainer ends at once if canceled, and frees its batches for another run."""
    release(any_server)
    dao = any_server.dao
    any_server.training.StartTraining(start("run-1"))
    dao.runs.claim("me", NOW, NOW + SECOND)
    released = frozenset({BatchStatus.RELEASED})
    dao.batches.change_status(1, released, BatchStatus.TRAINING, run_id="run-1", reason="", at=NOW)
    dao.runs.give_back("run-1", "me", RunState.QUEUED, "the trainer is away", NOW + 300 * SECOND, 1)
    cancel = pb.CancelTrainingRunRequest(run_id="run-1")
    runs = [any_server.training.CancelTrainingRun(cancel).run for _ in range(2)]
    assert [run.state for run in runs] == [runs_pb.TRAINING_RUN_STATE_CANCELED] * 2
    batch = dao.batches.get(1)
    assert (batch.status, batch.history[-1].reason) == (
        BatchStatus.FAILED,
        "run run-1 canceled: canceled by request",
    )
    [last] = any_server.training.WatchTrainingRun(pb.WatchTrainingRunRequest(run_id="run-1"))
    assert last.run == runs[0]


def test_r15_a_run_of_the_improvement_queue_is_seen_and_canceled_like_any(any_server: InProcessServer) -> None:
    """R15, R16: a run of the improvement queue says that it is one, can be canceled, and its id is taken."""
    release(any_server)
    any_server.dao.runs.create(replace(training_run("improve-1", batches=()), request=b"", from_improvement_queue=True))
    run = any_server.training.GetTrainingRun(pb.GetTrainingRunRequest(run_id="improve-1")).run
    assert (run.from_improvement_queue, list(run.batch_ids)) == (True, [])
    assert reason(refused(any_server.training.StartTraining, start("improve-1"))) == "CONTENT_CONFLICT"
    canceled = any_server.training.CancelTrainingRun(pb.CancelTrainingRunRequest(run_id="improve-1")).run
    assert canceled.state == runs_pb.TRAINING_RUN_STATE_CANCELED


def test_r16_an_unknown_run_is_not_found(server: InProcessServer) -> None:
    """R16: reading, watching and canceling an unknown run are NOT_FOUND."""
    for call, request in [
        (server.training.GetTrainingRun, pb.GetTrainingRunRequest(run_id="never")),
        (server.training.WatchTrainingRun, pb.WatchTrainingRunRequest(run_id="never")),
        (server.training.GetTrainingCurve, pb.GetTrainingCurveRequest(run_id="never")),
        (server.training.CancelTrainingRun, pb.CancelTrainingRunRequest(run_id="never")),
    ]:
        error = refused(call, request)
        assert (error.code(), reason(error)) == (StatusCode.NOT_FOUND, "TRAINING_RUN_NOT_FOUND")
