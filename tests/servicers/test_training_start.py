"""StartTraining through a real channel: retries, the base model and the checks of a run (R7, R16, R17, R18)."""

from dataclasses import replace

import pytest
from embedding_studio.clickstream.v1 import model_service_pb2 as model_pb
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from embedding_studio.clickstream.v1 import training_service_pb2 as pb
from grpc import StatusCode
from support.builders import (
    NOW,
    SECOND,
    model_version,
    session_drafts,
)
from support.servers import InProcessServer, fields, reason, refused
from support.training_calls import release, start

from clickstream.domain.batches import BatchStatus
from clickstream.domain.judgements import JudgedQuery, unpacked
from clickstream.domain.runs import RunState


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
    """R1, R17: the first run starts from the configured base, the next from what serves; a retry keeps its base."""
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
