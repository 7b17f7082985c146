"""`clickstream cancel`, against a running server."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result
from support.builders import NOW, SECOND, push, session_drafts, training_run
from support.servers import InProcessServer

from clickstream.cli.commands import main
from clickstream.cli.exit_codes import ExitCode
from clickstream.domain.improvement import ImprovementState
from clickstream.domain.runs import RunState


@pytest.fixture
def cancel(server: InProcessServer) -> Callable[..., Result]:
    """Runs the command against a server with a queued run and a queued session."""
    server.dao.runs.create(training_run("run-1"))
    server.dao.sessions.append(session_drafts(1))
    server.dao.events.append([push("s-1", "e-1")])
    server.dao.improvement.queue(server.dao.sessions.get("s-1"), NOW)
    return lambda *words: CliRunner().invoke(main, ["cancel", *words, "--address", server.address])


def test_r16_a_run_is_canceled(cancel: Callable[..., Result], server: InProcessServer) -> None:
    """R16: a queued run ends at once; the same command again changes nothing."""
    assert [cancel("run-1").output for _ in range(2)] == ["run-1 is canceled\n"] * 2
    assert server.dao.runs.get("run-1").state is RunState.CANCELED


def test_r16_a_running_run_is_asked_to_stop(cancel: Callable[..., Result], server: InProcessServer) -> None:
    """R16: the worker ends the run with its next step; until then the answer says that it runs."""
    server.dao.runs.claim("me", NOW, NOW + 60 * SECOND)
    assert cancel("run-1").output == "run-1 is running, and will stop\n"
    assert server.dao.runs.get("run-1").cancel_requested


def test_r15_a_task_is_canceled(cancel: Callable[..., Result], server: InProcessServer) -> None:
    """R15: --session names a task of the improvement queue."""
    result = cancel("--session", "s-1", "--json")
    assert json.loads(result.stdout)["task"]["state"] == "IMPROVEMENT_STATE_CANCELED"
    assert server.dao.improvement.get("s-1").state is ImprovementState.CANCELED


def test_what_cannot_be_canceled_is_refused(cancel: Callable[..., Result]) -> None:
    """Unknown names are code 5; a run and a session together, or neither, are a wrong use."""
    assert cancel("never").exit_code == cancel("--session", "never").exit_code == ExitCode.REFUSED
    assert cancel().exit_code == cancel("run-1", "--session", "s-1").exit_code == ExitCode.WRONG_USE
