"""TrainingService through a real channel: inputs and runs (R10, R13, R14, R16)."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from embedding_studio.clickstream.v1 import model_service_pb2 as model_pb
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
from support.servers import InProcessServer, fields, reason, refused

from clickstream.domain.batches import BatchStatus
from clickstream.domain.judgements import JudgedQuery, unpacked
from clickstream.domain.runs import CurvePoint, Phase, RunState, TrainingProgress


@pytest.fixture(params=["server", "mongo_server"])
def any_server(request: pytest.FixtureRequest) -> InProcessServer:
    """A server over either store."""
    return request.getfixturevalue(request.param)


def release(server: InProcessServer, sessions: int = 3) -> None:
    """Releases a batch whose first two sessions have a click."""
    server.dao.sessions.append(session_drafts(sessions))
    server.dao.events.append([push("s-1", "e-1"), push("s-2", "e-1", object_id="b")])
    server.dao.batches.release("r-1", None, NOW)


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


def start(run_id: str = "run-1", *batch_ids: str, **settings: object) -> pb.StartTrainingRequest:
    """Queues a run, over the first batch by default."""
    request = pb.StartTrainingRequest(run_id=run_id, batch_ids=batch_ids or ["batch-1"])
    for name, value in settings.items():
        setattr(request.settings, name, value)
    return request


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
from clickstream.servicers.boundary import _same_bytes
from embedding_studio.clickstream.v1 import session_pb2
from clickstream.contract.training_inputs import training_input_message
from clickstream.domain.training_inputs import GradedResult, TrainingInput
from clickstream.servicers.boundary import _same_bytes
meta = session_pb2.Session.FromString(bytes.fromhex(sys.argv[1])).results[0].meta
message = training_input_message(TrainingInput("s", "b", 1, "q", (GradedResult("o", 0, 1.0, (), meta),), "v"))
print(_same_bytes(message).hex())
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


def test_r16_starting_twice_is_one_run(any_server: InProcessServer) -> None:
    """R1, R16: the same run again is a retry, whatever the batch's status; other content is refused."""
    release(any_server)
    request = start(epochs=2)
    first = any_server.training.StartTraining(request)
    assert first.created
    assert (first.run.state, first.run.settings.epochs) == (runs_pb.TRAINING_RUN_STATE_QUEUED, 2)
    assert (first.run.settings.base_model, first.run.settings.batch_queries) == ("tiny", 16)
    any_server.dao.batches.change_status(1, {BatchStatus.RELEASED}, BatchStatus.ARCHIVED, run_id="", reason="", at=NOW)
    again = any_server.training.StartTraining(request)
    assert (again.created, again.run) == (False, first.run)
    error = refused(any_server.training.StartTraining, start(epochs=3))
    assert (error.code(), reason(error)) == (StatusCode.ALREADY_EXISTS, "CONTENT_CONFLICT")
    archived = refused(any_server.training.StartTraining, start("run-2"))
    assert (archived.code(), reason(archived)) == (StatusCode.FAILED_PRECONDITION, "STATE_CONFLICT")


def night(server: InProcessServer, number: int) -> str:
    """One night: releases, trains and promotes without naming a base model; returns the resolved base."""
    dao, run_id = server.dao, f"night-{number}"
    dao.sessions.append(session_drafts(1, run_id))
    batch = dao.batches.release(run_id, None, NOW)
    run = server.training.StartTraining(start(run_id, batch.batch_id)).run
    dao.runs.claim("me", NOW, NOW + SECOND)
    parent = run.settings.base_model if number > 1 else ""
    version = replace(model_version(run_id), model_version_id=version_of(number), parent_model_version_id=parent)
    dao.runs.finish(run_id, "me", RunState.SUCCEEDED, "better", version, NOW)
    server.model.PromoteModel(
        model_pb.PromoteModelRequest(
            model_version_id=version_of(number), request_id=run_id, expected_model_version_id=parent
        )
    )
    return str(run.settings.base_model)


def version_of(number: int) -> str:
    """The version that a night makes."""
    return f"night-{number}-{number:012x}"


def test_r17_every_night_starts_from_the_version_of_the_night_before(any_server: InProcessServer) -> None:
    """R1, R17: the first run starts from the configured base model, the next from what serves; retries keep their base."""
    any_server.load_embedder = lambda name: lambda kind, texts: [[1.0] for _ in texts]
    assert [night(any_server, number) for number in (1, 2, 3)] == ["tiny", version_of(1), version_of(2)]
    for number, base_model in ((1, "tiny"), (2, version_of(1))):
        again = any_server.training.StartTraining(start(f"night-{number}", f"batch-{number}"))
        assert (again.created, again.run.settings.base_model) == (False, base_model)
    error = refused(any_server.training.StartTraining, start("night-1", "batch-1", base_model="base"))
    assert reason(error) == "CONTENT_CONFLICT"


def test_r17_a_run_starts_from_the_model_that_it_names(any_server: InProcessServer) -> None:
    """R17: `base` is the configured base model whatever serves; a version that does not exist is refused at once."""
    any_server.load_embedder = lambda name: lambda kind, texts: [[1.0] for _ in texts]
    night(any_server, 1)
    night(any_server, 2)
    for named, base_model in (("base", "tiny"), (version_of(1), version_of(1)), ("some/model", "some/model")):
        run = any_server.training.StartTraining(start(f"from-{base_model[:4]}", base_model=named)).run
        assert run.settings.base_model == base_model
    error = refused(any_server.training.StartTraining, start("next", base_model="run-9-0123456789ab"))
    assert (error.code(), reason(error)) == (StatusCode.NOT_FOUND, "MODEL_VERSION_NOT_FOUND")


@pytest.mark.parametrize("run_id", ["", "a/b", "..", ".hidden", "r" * 129, "é", "a b"])
def test_r7_a_run_id_is_a_file_name(server: InProcessServer, run_id: str) -> None:
    """R7: a run id names folders, so it may only have plain characters."""
    release(server)
    assert fields(refused(server.training.StartTraining, start(run_id))) == ["run_id"]


def test_r7_the_batches_of_a_run_are_limited_and_distinct(server: InProcessServer) -> None:
    """R7: no batch, too many batches and the same batch twice are refused."""
    release(server)
    assert fields(refused(server.training.StartTraining, pb.StartTrainingRequest(run_id="r"))) == ["batch_ids"]
    many = [f"batch-{number}" for number in range(1, 102)]
    assert reason(refused(server.training.StartTraining, start("r", *many))) == "LIMIT_EXCEEDED"
    assert fields(refused(server.training.StartTraining, start("r", "batch-1", "batch-1"))) == ["batch_ids[1]"]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("epochs", [1, 100], [0, 101, -1]),
        ("batch_queries", [2, 1_024], [1, 1_025]),
        ("learning_rate", [1e-6, 1.0], [0.0, -1e-3, 1.01, float("nan"), float("inf")]),
        ("max_tokens", [8, 8_192], [7, 8_193]),
        ("held_out_share", [0.05, 0.5], [0.049, 0.51, float("nan")]),
        ("seed", [-(2**63), 2**63 - 1], []),
        ("temperature", [0.001, 1.0], [0.0, 1.1, float("nan")]),
        ("base_model", ["m" * 1_024], ["m" * 1_025]),
        ("item_template", ["t" * 1_024], ["t" * 1_025]),
        ("position_bias", ["auto", "none", "rank_ctr", "pbm", "sdbn"], ["magic"]),
        ("unexamined", ["negative", "unknown"], ["positive"]),
        ("loss", ["listwise", "contrastive"], ["triplet"]),
        ("frozen_layers", [0, 1_000], [-1, 1_001]),
        ("lora_rank", [0, 1_024], [-1, 1_025]),
        ("early_stopping_patience", [0, 100], [-1, 101]),
    ],
)
def test_r7_settings_have_ranges(server: InProcessServer, name: str, good: list, bad: list) -> None:
    """R7: a setting at the ends of its range is accepted; beyond them it is refused by name."""
    release(server)
    for number, value in enumerate(good):
        queued = server.training.StartTraining(start(f"run-{number}", **{name: value})).run
        assert getattr(queued.settings, name) == value
    for value in bad:
        error = refused(server.training.StartTraining, start("run-bad", **{name: value}))
        assert (error.code(), fields(error)) == (StatusCode.INVALID_ARGUMENT, [f"settings.{name}"])


def test_r7_the_split_by_time_is_a_time(any_server: InProcessServer) -> None:
    """R7: a valid time of the split is accepted; an invalid one is refused by name."""
    release(any_server)
    request = start()
    request.settings.held_out_after.FromDatetime(NOW)
    assert any_server.training.StartTraining(request).run.settings.held_out_after == request.settings.held_out_after
    request.settings.held_out_after.seconds = 2**60
    assert fields(refused(any_server.training.StartTraining, request)) == ["settings.held_out_after"]


def judged(grade: int = 1) -> pb.StartTrainingRequest:
    """A run with judgements."""
    request = start()
    for query in ("red shoe", "lamp"):
        request.judged_queries.add(query=query).judgements.add(object_id="a", grade=grade)
    return request


def test_r18_judgements_are_kept_with_their_run(any_server: InProcessServer) -> None:
    """R1, R18: judgements are content of a run, whatever their order in a retry."""
    release(any_server)
    request = judged()
    assert any_server.training.StartTraining(request).created
    run = any_server.dao.runs.get("run-1")
    assert unpacked(any_server.dao.judgements.get(run.judgements_sha256)) == [
        JudgedQuery("lamp", {"a": 1}),
        JudgedQuery("red shoe", {"a": 1}),
    ]
    assert b"lamp" not in run.request
    assert not any_server.training.StartTraining(request).created
    request.judged_queries.reverse()
    assert not any_server.training.StartTraining(request).created
    for other in (judged(grade=2), start()):
        error = refused(any_server.training.StartTraining, other)
        assert (error.code(), reason(error)) == (StatusCode.ALREADY_EXISTS, "CONTENT_CONFLICT")


def test_r7_a_faulty_judgement_is_refused_by_its_path(server: InProcessServer) -> None:
    """R7: StartTraining checks judgements; nothing is queued."""
    release(server)
    assert fields(refused(server.training.StartTraining, judged(grade=11))) == ["judged_queries[0].judgements[0].grade"]
    assert server.dao.runs.get("run-1") is None


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
