"""`clickstream retry`, against a running server."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result
from support.builders import NOW, push, session_drafts
from support.servers import InProcessServer

from clickstream.cli.commands import main
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
    """The sessions that wait."""
    tasks = server.dao.improvement.list(None, 9, {ImprovementState.PENDING})
    return sorted(task.session_id for task in tasks)


@pytest.mark.parametrize(
    ("words", "said", "waiting"),
    [
        (["s-1", "s-3", "s-5"], "1 put forward again, 2 left as they are, 0 refused", ["s-1", "s-5", "s-6"]),
        (["--state", "failed"], "1 put forward again, 0 left as they are, 0 refused", ["s-1", "s-5", "s-6"]),
        (
            ["--state", "failed", "--state", "canceled", "--state", "refused", "--run-id", "run-1"],
            "2 put forward again, 0 left as they are, 0 refused",
            ["s-1", "s-2", "s-5", "s-6"],
        ),
    ],
)
def test_r15_sessions_are_put_forward_again(
    server: InProcessServer, run: Callable[..., Result], words: list[str], said: str, waiting: list[str]
) -> None:
    """R15: those named, or all in a state, or of them those of a run."""
    result = run(*words)
    assert (result.exit_code, result.output) == (0, said + "\n")
    assert pending(server) == waiting


def test_r15_what_cannot_improve_is_named_and_the_rest_goes(
    server: InProcessServer, run: Callable[..., Result]
) -> None:
    """R15: one session that is refused keeps no other from being retried; the exit code tells."""
    server.dao.sessions.mark_irrelevant("s-1", NOW)
    result = run("s-1", "never", "s-4")
    assert result.exit_code == 1
    assert "s-1: the session is marked irrelevant\n" in result.output
    assert "never: session_id: this session was never queued for improvement\n" in result.output
    assert "1 put forward again, 0 left as they are, 2 refused\n" in result.output
    assert pending(server) == ["s-4", "s-5", "s-6"]


@pytest.mark.parametrize(
    "words", [[], ["s-1", "--state", "failed"], ["--run-id", "run-1"], ["s-1", "--run-id", "run-1"]]
)
def test_it_must_be_clear_what_is_meant(run: Callable[..., Result], words: list[str]) -> None:
    """R7: sessions or a state, not both and not neither."""
    assert run(*words).exit_code == 2
