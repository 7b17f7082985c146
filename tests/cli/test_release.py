"""`clickstream release`, against a running server."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result
from support.builders import NOW, session_drafts
from support.servers import InProcessServer

from clickstream.cli.commands import main
from clickstream.cli.exit_codes import ExitCode
from clickstream.client.admin import AdminClient


@pytest.fixture
def release(server: InProcessServer) -> Callable[..., Result]:
    """Runs the command against a server whose batch has three sessions."""
    server.dao.sessions.append(session_drafts(3))
    return lambda *words: CliRunner().invoke(main, ["release", *words, "--address", server.address])


def statuses(server: InProcessServer) -> dict[str, str]:
    """Batch → status, and the sessions that it has."""
    return {batch.batch_id: batch.status.value for batch in server.dao.batches.list(None, 9, set())}


def test_r10_the_collecting_batch_is_released(server: InProcessServer, release: Callable[..., Result]) -> None:
    """R10: the batch is released, and without a release id each command is a release of its own."""
    assert release().output == "batch-1 released with 3 sessions\n"
    server.dao.sessions.append(session_drafts(1, prefix="t"))
    assert release().output == "batch-2 released with 1 sessions\n"


def test_r10_the_same_release_id_releases_once(server: InProcessServer, release: Callable[..., Result]) -> None:
    """R10: a retry answers the same batch, whatever collects by then, also where --min-sessions is given."""
    for bound in ([], ["--min-sessions", "3"], ["--min-sessions", "1000"]):
        result = release("--release-id", "night", *bound)
        assert (result.exit_code, result.output) == (0, "batch-1 released with 3 sessions\n")
        server.dao.sessions.append(session_drafts(3, prefix=f"after-{len(bound)}"))
    assert set(statuses(server)) == {"batch-1", "batch-2"}


def test_too_few_sessions_release_nothing(server: InProcessServer, release: Callable[..., Result]) -> None:
    """Below --min-sessions the exit code is 5, and stdout has the batch that goes on collecting."""
    result = release("--min-sessions", "4", "--json")
    assert result.exit_code == ExitCode.REFUSED
    shown = json.loads(result.stdout)
    assert (shown["batch_id"], shown["status"], shown["session_count"]) == ("batch-1", "BATCH_STATUS_COLLECTING", "3")
    assert "fewer than --min-sessions 4: nothing was released" in result.stderr
    assert statuses(server) == {"batch-1": "collecting"}
    assert release("--min-sessions", "3").exit_code == ExitCode.DONE


def test_a_named_batch_is_released_or_none(server: InProcessServer, release: Callable[..., Result]) -> None:
    """A batch that another scheduler has released is refused: its successor stays open, and stdout is empty."""
    assert release("--batch", "batch-1").exit_code == ExitCode.DONE
    server.dao.sessions.append(session_drafts(2, prefix="t"))
    again = release("--batch", "batch-1")
    assert (again.exit_code, again.stdout) == (ExitCode.REFUSED, "")
    assert statuses(server)["batch-2"] == "collecting"


def test_an_empty_batch_is_refused(server: InProcessServer) -> None:
    """Without any session there is nothing to release: exit code 5."""
    result = CliRunner().invoke(main, ["release", "--address", server.address])
    assert (result.exit_code, result.stdout) == (ExitCode.REFUSED, "")


def test_another_release_at_the_same_time_costs_no_small_batch(
    server: InProcessServer, release: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the count and the release another scheduler may release: the successor, which is small, stays open."""
    counted = AdminClient.batch

    def count_and_lose(client: AdminClient, batch_id: str = "") -> object:
        batch = counted(client, batch_id)
        server.dao.batches.release("another", None, NOW)
        server.dao.sessions.append(session_drafts(1, prefix="t"))
        return batch

    monkeypatch.setattr(AdminClient, "batch", count_and_lose)
    assert release("--min-sessions", "3").exit_code == ExitCode.REFUSED
    assert statuses(server)["batch-2"] == "collecting"
