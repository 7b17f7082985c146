"""`clickstream import ubi`: its exit codes, and its account as JSON."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from google.rpc import code_pb2
from support.scripted import InMemoryService, refuse, serving

from clickstream.cli.commands import main
from clickstream.cli.exit_codes import ExitCode
from clickstream.client import calls

SEARCH = {
    "query_id": "q-1",
    "user_query": "shoes",
    "query_response_hit_ids": ["a"],
    "client_id": "c",
    "timestamp": "2025-01-24T07:31:30Z",
}
OTHER = SEARCH | {"query_id": "q-2"}


@pytest.fixture
def service() -> InMemoryService:
    """The service."""
    return InMemoryService()


@pytest.fixture
def run(service: InMemoryService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Imports a file of these lines."""
    monkeypatch.setattr(calls, "ATTEMPTS", 1)

    def run(*lines: object, options: tuple[str, ...] = ()) -> Result:
        text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        (tmp_path / "ubi.ndjson").write_text(text)
        with serving(service) as address:
            words = ["import", "ubi", str(tmp_path / "ubi.ndjson"), "--address", address, *options]
            return CliRunner().invoke(main, words)

    return run


def test_a_whole_file_is_code_0_and_again(run: Callable[..., Result]) -> None:
    """The second import says that nothing changed."""
    assert run(SEARCH).exit_code == ExitCode.DONE
    again = run(SEARCH)
    assert again.exit_code == ExitCode.DONE
    assert "Nothing changed: the server had every document already." in again.output


@pytest.mark.parametrize("lines", [[], ["nonsense"], ["nonsense", "[1]"]])
def test_a_file_without_a_usable_document_is_code_1(run: Callable[..., Result], lines: list[str]) -> None:
    """Where everything was rejected, "nothing changed" would be a lie."""
    result = run(*lines)
    assert result.exit_code == ExitCode.FAILED
    assert "No document of this file could be used." in result.output
    assert "Nothing changed" not in result.output


def test_some_rejected_documents_are_code_3(run: Callable[..., Result]) -> None:
    """The others are imported; a second time they are known already, and the exit code stays."""
    assert run(SEARCH, "nonsense").exit_code == ExitCode.PARTLY_DONE
    again = run(SEARCH, "nonsense")
    assert again.exit_code == ExitCode.PARTLY_DONE
    assert "Nothing changed: the server had the other documents already." in again.output


def test_a_conflict_is_code_3(run: Callable[..., Result]) -> None:
    """A search that is registered with other content stays as it is."""
    run(SEARCH)
    assert run(SEARCH | {"user_query": "boots"}, OTHER).exit_code == ExitCode.PARTLY_DONE


@pytest.mark.parametrize(
    ("status", "code"),
    [(code_pb2.UNAVAILABLE, ExitCode.SERVER_AWAY), (code_pb2.PERMISSION_DENIED, ExitCode.REFUSED)],
)
def test_an_import_that_stops_says_whether_to_repeat_it(
    service: InMemoryService, run: Callable[..., Result], status: int, code: ExitCode
) -> None:
    """4 if the server is away, 5 if it refuses the caller."""
    service.faults.append(lambda request, context: refuse(context, status, "because"))
    assert run(SEARCH).exit_code == code


def test_json_has_the_account(run: Callable[..., Result]) -> None:
    """Stdout has one object whose buckets add up to the documents of the file."""
    account = json.loads(run(SEARCH, "nonsense", options=("--json",)).stdout)
    assert account["documents"] == sum(bucket["documents"] for bucket in account["buckets"]) == 2
    assert {bucket["outcome"] for bucket in account["buckets"]} == {"accepted", "rejected"}
    assert account["sessions"] == {"accepted": 1}
