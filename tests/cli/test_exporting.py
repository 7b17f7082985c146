"""`clickstream export sessions`, and what `clickstream import` makes of its files."""

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as service
from embedding_studio.clickstream.v1 import session_pb2 as wire
from support.builders import NOW, session, struct
from support.memory_store import MemoryDao
from support.servers import Clock, InProcessServer

from clickstream.cli import exporting
from clickstream.cli.commands import main
from clickstream.cli.exit_codes import ExitCode


def command(server: InProcessServer, *words: str) -> Result:
    """Runs a command against a server."""
    return CliRunner().invoke(main, [*words, "--address", server.address])


@contextmanager
def empty() -> Iterator[InProcessServer]:
    """Another server, with nothing in it."""
    with InProcessServer(MemoryDao(), Clock()) as server:
        yield server


def fill(server: InProcessServer, count: int = 3) -> None:
    """Sessions with everything that the contract has, in two batches; one is marked irrelevant."""
    for n in range(count):
        made = session(f"s-{n}", query=f" red 👟 {n}", user_id="u", context=struct(locale="de", deep={"a": [1, 2.5]}))
        made.score_kind = wire.SCORE_KIND_DISTANCE
        for place, result in enumerate(made.results):
            result.score, result.position = 0.1 + 0.2 * place, 10 + place
        made.filter.update({"brand": "x"})
        made.sort, made.page.offset, made.page.size, made.client.name = "price:asc", 10, 3, "shop"
        made.results[2].kind = wire.RESULT_KIND_IMAGE
        made.created_at.FromDatetime(NOW)
        server.clickstream.CreateSession(service.CreateSessionRequest(session=made))
        events = [
            wire.Event(event_id=f"e{k}", object_id=object_id, type=kind, meta=struct(x=k))
            for k, (object_id, kind) in enumerate([("a", "click"), ("z", "click"), ("b", "my.type")])
        ]
        server.clickstream.PushEvents(service.PushEventsRequest(session_id=f"s-{n}", events=events))
    server.clickstream.MarkSessionIrrelevant(service.MarkSessionIrrelevantRequest(session_id="s-1"))


def test_json_lines_into_an_empty_service_and_out_again_are_the_same_bytes(server, tmp_path: Path) -> None:
    """Scores, positions, context, filter, events of unknown objects and marks included."""
    fill(server)
    first, second = tmp_path / "first", tmp_path / "second"
    assert command(server, "export", "sessions", "--out", str(first)).exit_code == ExitCode.DONE
    with empty() as other:
        imported = command(other, "import", "jsonl", str(first), "--json")
        assert imported.exit_code == ExitCode.DONE, imported.output
        account = json.loads(imported.stdout)
        assert (account["documents"], account["marks"]) == (12, 1)
        assert command(other, "export", "sessions", "--out", str(second)).exit_code == ExitCode.DONE
        again = command(other, "import", "jsonl", str(first))
        assert "Nothing changed" in again.output
    assert first.read_bytes() == second.read_bytes()
    lines = [json.loads(line) for line in first.read_text().splitlines()]
    assert [line["session"]["session_id"] for line in lines] == ["s-0", "s-1", "s-2"]
    assert [line.get("irrelevant", False) for line in lines] == [False, True, False]
    assert "batch_id" not in lines[0]


def test_batch_and_number_come_on_request(server, tmp_path: Path) -> None:
    """And an import passes over them."""
    fill(server)
    assert command(server, "export", "sessions", "--out", str(tmp_path / "x"), "--numbers").exit_code == ExitCode.DONE
    lines = [json.loads(line) for line in (tmp_path / "x").read_text().splitlines()]
    assert [(line["batch_id"], line["session_number"]) for line in lines] == [("batch-1", str(n)) for n in (1, 2, 3)]
    with empty() as other:
        assert command(other, "import", "jsonl", str(tmp_path / "x")).exit_code == ExitCode.DONE


def test_lines_that_are_no_session_are_named_and_cost_no_other(server, tmp_path: Path) -> None:
    """Not JSON, an unknown field, a wrong type, no id: each is rejected with its reason."""
    lines = [
        '{"session": {"session_id": "s"}}',
        "nonsense",
        "[1]",
        '{"sesion": {}}',
        '{"session": {"results": 3}}',
        "{}",
    ]
    (tmp_path / "x").write_text("\n".join(lines))
    result = command(server, "import", "jsonl", str(tmp_path / "x"), "--json")
    assert result.exit_code == ExitCode.PARTLY_DONE
    account = json.loads(result.stdout)
    reasons = [bucket["reason"] for bucket in account["buckets"] if bucket["outcome"] == "rejected"]
    assert account["documents"] == 6
    assert len(reasons) == 5
    assert any('no field named "sesion"' in reason for reason in reasons)


def test_ubi_out_and_in_again_is_the_same_bytes_from_the_second_time_on(server, tmp_path, pytestconfig) -> None:
    """Every document of a recorded file is accounted for, and what the service made of it goes round unchanged."""
    sample = pytestconfig.rootpath / "tests" / "support" / "ubi_sample.ndjson"
    imported = command(server, "import", "ubi", str(sample), "--json")
    account = json.loads(imported.stdout)
    assert account["documents"] == sum(bucket["documents"] for bucket in account["buckets"]) == 24
    before = server
    files = [tmp_path / str(n) for n in range(3)]
    assert command(before, "export", "sessions", "--form", "ubi", "--out", str(files[0])).exit_code == ExitCode.DONE
    for file, next_file in itertools.pairwise(files):
        with empty() as other:
            back = command(other, "import", "ubi", str(file), "--json")
            assert back.exit_code == ExitCode.DONE, back.output
            assert {bucket["outcome"] for bucket in json.loads(back.stdout)["buckets"]} == {"accepted"}
            words = ("export", "sessions", "--form", "ubi", "--out", str(next_file))
            assert command(other, *words).exit_code == ExitCode.DONE
    assert files[0].read_bytes() == files[1].read_bytes() == files[2].read_bytes()


def test_ubi_leaves_out_marked_sessions_and_says_so(server, tmp_path: Path) -> None:
    """Otherwise a robot's session would train elsewhere."""
    fill(server)
    result = command(server, "export", "sessions", "--form", "ubi", "--out", str(tmp_path / "x"), "--json")
    assert json.loads(result.stdout)["irrelevant_left_out"] == 1
    assert "s-1" not in (tmp_path / "x").read_text()


@pytest.mark.parametrize("form", ["jsonl", "ubi"])
def test_an_export_that_is_cut_off_goes_on_and_gives_the_same_bytes(
    form: str, server: InProcessServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stood behind the last note is written again, once."""
    fill(server, 8)
    monkeypatch.setattr(exporting, "_NOTED", 2)
    words = ("export", "sessions", "--form", form, "--out")
    assert command(server, *words, str(tmp_path / "whole")).exit_code == ExitCode.DONE
    written: list[int] = []
    lines: Callable = exporting._lines

    def cut_off(*given: object) -> object:
        written.append(1)
        if len(written) == 6:
            raise MemoryError
        return lines(*given)

    with monkeypatch.context() as patch:
        patch.setattr(exporting, "_lines", cut_off)
        assert isinstance(command(server, *words, str(tmp_path / "x")).exception, MemoryError)
    assert not (tmp_path / "x").exists()
    assert json.loads((tmp_path / "x.state").read_text())["after"] >= 4
    assert command(server, *words, str(tmp_path / "x")).exit_code == ExitCode.DONE
    assert (tmp_path / "x").read_bytes() == (tmp_path / "whole").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["whole", "x"]


def test_a_file_that_is_there_is_kept(server, tmp_path: Path) -> None:
    """It may be the only copy of what a service had."""
    (tmp_path / "x").write_text("mine")
    assert command(server, "export", "sessions", "--out", str(tmp_path / "x")).exit_code == ExitCode.WRONG_USE
    assert (tmp_path / "x").read_text() == "mine"
