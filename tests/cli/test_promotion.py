"""`clickstream promote` and `rollback`, against a running server."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result
from support.builders import NOW, SECOND, model_version, training_run
from support.servers import InProcessServer

from clickstream.cli.commands import main
from clickstream.cli.exit_codes import ExitCode
from clickstream.domain.runs import RunState


@pytest.fixture
def run(server: InProcessServer) -> Callable[..., Result]:
    """Runs a command against a server with three versions; the gate of the third did not pass."""
    for number in (1, 2, 3):
        run_id = f"run-{number}"
        server.dao.runs.create(training_run(run_id))
        server.dao.runs.claim("me", NOW, NOW + 60 * SECOND)
        version = replace(model_version(run_id), gate_passed=number < 3)
        server.dao.runs.finish(run_id, "me", RunState.SUCCEEDED, "", version, NOW)
    server.load_embedder = lambda _: lambda kind, texts: [[1.0] for _ in texts]
    return lambda *words: CliRunner().invoke(main, [*words, "--address", server.address])


def test_r17_promote_and_roll_back(run: Callable[..., Result], server: InProcessServer) -> None:
    """R17: the command makes a version serve, and a rollback goes back to the one before."""
    assert run("promote", "model-run-1").output == "model-run-1: serves now (promotion 1)\n"
    assert run("promote", "model-run-2", "--reason", "better").output == "model-run-2: serves now (promotion 2)\n"
    assert run("rollback").output == "model-run-1: serves again (promotion 3)\n"
    assert [entry.reason for entry in server.dao.promotions.list(None, 9)] == ["", "better", ""]
    assert run("rollback").exit_code == ExitCode.REFUSED


def test_r1_the_same_request_id_promotes_once(run: Callable[..., Result], server: InProcessServer) -> None:
    """R1: a retry answers the first promotion and appends nothing."""
    run("promote", "model-run-1", "--request-id", "night-1")
    run("promote", "model-run-2")
    again = run("promote", "model-run-1", "--request-id", "night-1")
    assert (again.exit_code, again.output) == (0, "model-run-1: this request was answered before (promotion 1)\n")
    assert server.dao.promotions.current().model_version_id == "model-run-2"


def test_r17_a_gate_that_did_not_pass_needs_force_and_a_reason(
    run: Callable[..., Result], server: InProcessServer
) -> None:
    """R17: exit code 7 without --force; --force without a reason is a wrong use."""
    assert run("promote", "model-run-3").exit_code == ExitCode.GATE_NOT_PASSED
    assert run("promote", "model-run-3", "--force").exit_code == ExitCode.WRONG_USE
    assert server.dao.promotions.current() is None
    assert run("promote", "model-run-3", "--force", "--reason", "a trial").exit_code == ExitCode.DONE
    assert server.dao.promotions.current().forced


def test_another_version_than_expected_changes_nothing(run: Callable[..., Result], server: InProcessServer) -> None:
    """`--expect` compares with what serves; the empty string means that none may serve."""
    assert run("promote", "model-run-1", "--expect", "model-run-2").exit_code == ExitCode.REFUSED
    assert run("promote", "model-run-1", "--expect", "").exit_code == ExitCode.DONE
    assert run("promote", "model-run-2", "--expect", "").exit_code == ExitCode.REFUSED
    assert server.dao.promotions.current().model_version_id == "model-run-1"
    run("promote", "model-run-2")
    assert run("rollback", "--expect", "model-run-1").exit_code == ExitCode.REFUSED
    assert run("rollback", "--expect", "model-run-2").exit_code == ExitCode.DONE


def test_json_is_the_answer(run: Callable[..., Result]) -> None:
    """For scripts: the response, with `created` also where it is false."""
    for created in (True, False):
        answer = json.loads(run("promote", "model-run-1", "--request-id", "night-1", "--json").stdout)
        assert (answer["created"], answer["promotion"]["model_version_id"]) == (created, "model-run-1")
