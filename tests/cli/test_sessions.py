"""`clickstream mark` and `restore`, against a running server."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.builders import session_drafts
from support.servers import InProcessServer

from clickstream.cli.commands import main
from clickstream.cli.exit_codes import ExitCode
from clickstream.client import calls

SESSIONS = 200


@pytest.fixture
def run(server: InProcessServer) -> Callable[..., Result]:
    """Runs a command against a server with 200 sessions."""
    server.dao.sessions.append(session_drafts(SESSIONS))
    return lambda *words, stdin="": CliRunner().invoke(main, [*words, "--address", server.address], input=stdin)


def counted(server: InProcessServer) -> int:
    """Sessions that batch reads and training take."""
    return len(server.dao.sessions.page(1, 0, 1_000, include_irrelevant=False).sessions)


def test_r11_sessions_are_marked_and_restored(run: Callable[..., Result], server: InProcessServer) -> None:
    """R11: marked sessions are left out of batch reads until they are restored; both are idempotent."""
    for _ in range(2):
        assert run("mark", "s-1", "s-2").output == "2 marked irrelevant, 0 refused\n"
        assert counted(server) == SESSIONS - 2
    for _ in range(2):
        assert run("restore", "s-2").output == "1 restored, 0 refused\n"
        assert counted(server) == SESSIONS - 1


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_ids_come_from_a_file_or_stdin(
    run: Callable[..., Result], server: InProcessServer, tmp_path: Path, source: str
) -> None:
    """One id per line; blank lines and the spaces around an id do not count."""
    ids = "".join(f" s-{number} \n\n" for number in range(1, SESSIONS))
    (tmp_path / "ids").write_text(ids)
    result = run("mark", "--file", str(tmp_path / "ids") if source == "file" else "-", stdin=ids)
    assert (result.exit_code, result.output) == (0, f"{SESSIONS - 1} marked irrelevant, 0 refused\n")
    assert counted(server) == 1


def test_a_refused_session_keeps_no_other_back(run: Callable[..., Result], server: InProcessServer) -> None:
    """Each refusal is named on stderr: exit code 3 if others were done, 5 if none was."""
    some = run("mark", "s-1", "never", "s-3")
    assert (some.exit_code, some.stdout) == (ExitCode.PARTLY_DONE, "2 marked irrelevant, 1 refused\n")
    assert some.stderr.startswith("never: NOT_FOUND: ")
    assert counted(server) == SESSIONS - 2
    assert run("restore", "never").exit_code == ExitCode.REFUSED


def test_json_has_the_session_as_kept(run: Callable[..., Result]) -> None:
    """One line per session in the order of the ids, with the mark's time."""
    found = [json.loads(line) for line in run("mark", "s-2", "s-1", "--json").stdout.splitlines()]
    assert [each["session"]["session_id"] for each in found] == ["s-2", "s-1"]


def test_no_session_is_a_wrong_use(run: Callable[..., Result]) -> None:
    """Neither ids nor a file: exit code 2."""
    assert run("mark").exit_code == ExitCode.WRONG_USE


def test_a_server_that_is_away_is_code_4(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a server the sessions are not refused: the same command may be repeated."""
    monkeypatch.setattr(calls, "ATTEMPTS", 1)
    result = CliRunner().invoke(main, ["mark", "s-1", "s-2", "--address", "127.0.0.1:9"])
    assert (result.exit_code, result.stdout) == (ExitCode.SERVER_AWAY, "")
