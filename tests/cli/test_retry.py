"""`clickstream retry`, against a running server."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result
from support.builders import NOW, push, session_drafts
from support.servers import InProcessServer

from clickstream.cli.commands import main
from clickstream.cli.exit_codes import ExitCode
from clickstream.domain.improvement import ImprovementState, TaskOutcome


@pytest.fixture
def run(server: InProcessServer) -> Callable[..., Result]:
    """Runs the command against a server with six tasks: one failed, refused, canceled and done each, two pending."""
    dao = server.dao
    dao.sessions.append(session_drafts(6))
    dao.events.append([push(f"s-{number}", "e-1") for number in range(1, 7)])
    for number in range(1, 7):
        dao.improvement.queue(dao.sessions.get(f"s-{number}"), NOW)
    dao.improvement.take(["s-1", "s-2", "s-3"], "run-1", NOW, NOW)
    for session_id, state in (("s-1", "failed"), ("s-2", "refused"), ("s-3", "done")):
        dao.improvement.settle("run-1", [session_id], TaskOutcome(ImprovementState(state), "because"), NOW)
    dao.improvement.cancel("s-4", NOW)
    return lambda *words: CliRunner().invoke(main, ["retry", *words, "--address", server.address])


def pending(server: InProcessServer) -> list[str]:
    """The sessions whose tasks are pending."""
    tasks = server.dao.improvement.list(None, 9, {ImprovementState.PENDING})
    return sorted(task.session_id for task in tasks)


@pytest.mark.parametrize(
    ("words", "printed", "waiting"),
    [
        (["s-1", "s-3", "s-5"], "1 put back into the queue, 2 left as they are, 0 refused", ["s-1", "s-5", "s-6"]),
        (["--state", "failed"], "1 put back into the queue, 0 left as they are, 0 refused", ["s-1", "s-5", "s-6"]),
        (
            ["--state", "failed", "--state", "canceled", "--state", "refused", "--run-id", "run-1"],
            "2 put back into the queue, 0 left as they are, 0 refused",
            ["s-1", "s-2", "s-5", "s-6"],
        ),
    ],
)
def test_r15_sessions_are_put_forward_again(
    server: InProcessServer, run: Callable[..., Result], words: list[str], printed: str, waiting: list[str]
) -> None:
    """R15: retry takes the named sessions, or all in a state, or those of them that a run had last."""
    result = run(*words)
    assert (result.exit_code, result.output) == (0, printed + "\n")
    assert pending(server) == waiting


def test_r15_a_refused_session_is_named_and_the_others_are_retried(
    server: InProcessServer, run: Callable[..., Result]
) -> None:
    """R15: a session that is refused keeps no other from being retried, and the exit code is 3: partly done."""
    server.dao.sessions.mark_irrelevant("s-1", NOW)
    result = run("s-1", "never", "s-4")
    assert result.exit_code == ExitCode.PARTLY_DONE
    assert "s-1: FAILED_PRECONDITION: the session is marked irrelevant\n" in result.output
    assert "never: NOT_FOUND: session_id: this session was never queued for improvement\n" in result.output
    assert "1 put back into the queue, 0 left as they are, 2 refused\n" in result.output
    assert pending(server) == ["s-4", "s-5", "s-6"]


@pytest.mark.parametrize(
    "words", [[], ["s-1", "--state", "failed"], ["--run-id", "run-1"], ["s-1", "--run-id", "run-1"]]
)
def test_sessions_or_a_state_are_named(run: Callable[..., Result], words: list[str]) -> None:
    """Exactly one of both, otherwise the command is used wrongly: exit code 2."""
    assert run(*words).exit_code == 2


def test_with_nothing_done_the_service_refused(run: Callable[..., Result]) -> None:
    """If every session was refused, the exit code is 5."""
    assert run("never", "neither").exit_code == ExitCode.REFUSED


def test_json_has_an_answer_per_session(run: Callable[..., Result]) -> None:
    """One line per session, in their order; `retried` is there also where it is false."""
    answers = [json.loads(line) for line in run("s-1", "s-3", "--json").stdout.splitlines()]
    assert [(answer["task"]["session_id"], answer["retried"]) for answer in answers] == [("s-1", True), ("s-3", False)]
